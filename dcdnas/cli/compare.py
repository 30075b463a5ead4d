"""`dcdnas compare`: trials of a run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import Run
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas import results as report
    from dcdnas.core.trial import Trial

__all__ = ["compare"]

PANEL = "Results"


def compare(
    out: Output,
    run: Run,
    trials: Annotated[
        list[str],
        typer.Argument(metavar="TRIAL...", help="Two or more trials: their numbers, best, knee or static.", show_default=False),
    ],
) -> None:
    """Compare trials of a run side by side: their results, their costs and the decisions in which they differ.

    Example:  dcdnas compare quick best static
    """
    from rich.text import Text

    from dcdnas.cli._source import offer_plugins_of
    from dcdnas.errors import UsageError
    from dcdnas.results import load_run
    from dcdnas.results.verdict import comparison, cut_short

    found = load_run(run)
    offer_plugins_of(found)
    chosen = [_trial(found, which) for which in trials]
    if len(chosen) < 2:
        raise UsageError(f"one trial cannot be compared. Name two or more: `dcdnas compare {found.called} {trials[0]} static`.")
    different = differences(chosen)
    pairs = [pair for t in chosen[1:] if (pair := comparison(found, t, chosen[0]))]
    against = [pair.document() for pair in pairs]
    networks = [_plain(found, t) for t in chosen]
    out.document({"networks": networks, "differences": against, "validation_images": found.validation_images, **different})
    _show(out, found, chosen, different)
    for pair in pairs:
        out.show(Text(f"Trial {pair.one.number} against trial {pair.other.number}: {pair.said}."))
    for t in {t.number: t for t in chosen}.values():
        if short := cut_short(found, t):
            out.show(Text(f"Trial {t.number} ({short}) is not compared, because its training was not completed."))


def differences(trials: Sequence[Trial]) -> dict[str, dict[str, list[Any]]]:
    """Decisions and layers that differ between the trials, with one value per trial; None where a trial has none."""
    decisions = list(dict.fromkeys(name for t in trials for name in t.decisions))
    slots = list(dict.fromkeys(slot for t in trials for slot in t.architecture.layers))
    rows: dict[str, dict[str, list[Any]]] = {
        "decisions": {name: [t.decisions.get(name) for t in trials] for name in decisions},
        "layers": {s: [_choice(t, s) for t in trials] for s in slots},
    }
    return {part: {n: values for n, values in found.items() if len(set(values)) > 1} for part, found in rows.items()}


def _trial(run: report.Run, which: str) -> Trial:
    from dcdnas.errors import UsageError

    if which != "static":
        return run.trial(which)
    if run.static is None:
        raise UsageError(f"{run.name} has no static reference: no uniform static network is within its budget.")
    return run.static


def _choice(trial: Trial, slot: str) -> str | None:
    choice = trial.architecture.layers.get(slot)
    return None if choice is None else str(choice)


def _plain(run: report.Run, trial: Trial) -> dict[str, Any]:
    confirmed = run.confirmed_as(trial)
    return {
        "number": trial.number, "state": trial.state, "origin": trial.origin,
        **{o.name: o.of(trial.score) for o in run.goals.objectives},
        "confirmed_mean": confirmed.mean if confirmed else None, "confirmed_spread": confirmed.spread if confirmed else None,
        "confirmed_seeds": len(confirmed.values) if confirmed else 0,
        **trial.cost.values, "seconds": trial.score.seconds if trial.score else 0.0,
    }  # fmt: skip


def _show(out: Output, run: report.Run, trials: Sequence[Trial], different: dict[str, dict[str, list[Any]]]) -> None:
    """Prints facts and differing decisions as a table with one column per trial, and how many layers differ."""
    from dcdnas.cli._tables import table
    from dcdnas.core.units import duration, metric_name, mix, quantity

    made = table("", *(f"Trial {t.number}" for t in trials))
    confirmed = {c.trial.number: c for c in run.confirmed}
    for objective in run.goals.objectives:
        made.add_row(f"{objective.heading}, one training", *(objective.said(objective.of(t.score)) for t in trials))
    if confirmed:
        made.add_row(
            "Mean on fresh seeds",
            *(run.objective.said(confirmed[t.number].mean if t.number in confirmed else None) for t in trials),
        )
    for metric in trials[0].cost.values:
        made.add_row(metric_name(metric), *(quantity(metric, t.cost[metric]) for t in trials))
    made.add_row("Time of the training", *(duration(t.score.seconds) if t.score else "–" for t in trials))
    made.add_row("State", *(t.state for t in trials))
    made.add_row("Asked by", *(t.origin for t in trials))
    made.add_row("Layers", *(mix(t.architecture) for t in trials))
    made.add_section()
    for name, values in different["decisions"].items():
        made.add_row(name, *("–" if v is None else str(v) for v in values))
    out.show(made)
    if not different["decisions"]:
        out.show("These networks are equal.")
        return
    layers = f"{len(different['layers'])} layers differ" if len(different["layers"]) != 1 else "1 layer differs"
    out.show(f"{layers} in operator or settings; `dcdnas show {run.called} --trial N` shows each network layer by layer.")
