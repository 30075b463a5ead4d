"""Verdict on a run in sentences: best network, area above the static ladder, and comparison, all with their uncertainty."""

from __future__ import annotations

from rich.text import Text

from dcdnas.cli._output import Output
from dcdnas.core.units import costs
from dcdnas.results import Run
from dcdnas.results.verdict import Verdict, area_value, guessing, resolution, value_said


def show_verdict(out: Output, run: Run) -> None:
    """Prints the verdict on a run, wrapped between words."""
    out.show(*(Text(sentence) for sentence in verdict(run)))


def verdict(run: Run) -> list[str]:
    """Returns the sentences of the verdict, the most important first."""
    found = Verdict(run)
    best = found.best
    if best is None:
        return ["No training finished within the budget, so there is no best network."]
    said = [
        f"Best within the budget: trial {best.number} with {value_said(run, best)}; {costs(best.cost)}.",
        f"Area above the static ladder: {area_value(found)}{_rungs(found)}.",
    ]
    return [*said, *filter(None, [guessing(found)]), *_against(found), *_since(found), resolution(found)]


def _rungs(found: Verdict) -> str:
    """Writes the number of networks on the ladder, which matters if it is short."""
    return f", over {len(found.rungs)} rungs" if found.area else ""


def _against(found: Verdict) -> list[str]:
    run, best, static = found.run, found.best, found.run.static
    if best is None or static is None or static.score is None:
        return []
    said = ["The static reference is the best network: no other beat it."] if best.number == static.number else []
    pair = found.against_static
    if pair is None:
        return said
    reference = f"trial {static.number} ({value_said(run, static)}; {costs(static.cost)})"
    return [*said, f"Against the static reference, {reference}: trial {pair.one.number} has {pair.said}."]


def _since(found: Verdict) -> list[str]:
    """Names a network trained once whose reading is better than both the confirmed best network's mean and its single reading."""
    run, best = found.run, found.best
    if best is None or run.confirmed_as(best) is None:
        return []
    once = [t for t in run.front() if t.score and run.confirmed_as(t) is None]
    top = min(once, key=run.rank, default=None)
    if top is None or not all(run.objective.better(run.reading(top), known) for known in (run.value(best), run.reading(best))):
        return []
    return [f"Trial {top.number} had a better reading, {value_said(run, top)}: a single one, which may be luck."]
