"""The contents of a run's pages as plain data: the sentences of its head, one row per trial, its curves and shares."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dcdnas.core.budget import within
from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial
from dcdnas.core.units import (
    STATIC_OPERATORS,
    axis_name,
    axis_units,
    costs,
    counted,
    duration,
    metric_name,
    operator_mix,
    quantity,
    said_mix,
    tally,
    units,
)
from dcdnas.pages.palette import Paint, paints
from dcdnas.pages.run_view import Source
from dcdnas.results.verdict import OPEN, Verdict, area_basis, evidence, guessing, resolution, value_said

if TYPE_CHECKING:
    from dcdnas.results import Moment, Run

STATES = ("finished", "stopped", "failed", "interrupted", "running", "refused", "replayed")
SAID = {"stopped": "stopped early"}
"""Wording of the states whose name alone would be unclear."""

RECIPE = {
    "lr": "Learning rate",
    "controller_lr": "Controllers' learning rate, as a multiple of it",
    "scan": "Epochs of the separate short training before",
}
"""Labels of training settings whose names do not explain themselves."""

RECENT = 20
"""Number of latest trainings over which the page states how the hypervolume changed."""


def operators_of(live: Source) -> dict[str, Paint]:
    """Appearance of every operator that a trial of the run uses, static first."""
    used = live.operators
    return {name: paint for name, paint in paints(used).items() if name in used or name == "static"}


def drawn_as(trial: Trial) -> str:
    """The operator whose colour and marker a network gets: the one with the most layers besides ``static``."""
    return _most_used(operator_mix(trial.architecture))


def _most_used(used: Mapping[str, int]) -> str:
    others = {name: count for name, count in used.items() if name != "static"}
    return max(sorted(others), key=others.__getitem__) if others else "static"


def metrics_of(run: Run) -> list[str]:
    """Cost metrics of the run's trials."""
    return list(run.metrics) if run.trials else []


def objectives(run: Run) -> str:
    """The objectives and cost metrics that the front of a run trades off, in words: ``accuracy, FLOPs and latency``."""
    *first, last = [*(in_sentence(o.heading) for o in run.goals.objectives), *(in_sentence(metric_name(m)) for m in run.minimize)]
    return f"{', '.join(first)} and {last}" if first else f"{last} alone"


def in_sentence(heading: str) -> str:
    """A heading as it is written within a sentence: ``latency``, but ``FLOPs``."""
    return heading if heading[1:2].isupper() else heading[:1].lower() + heading[1:]


def row(trial: Trial, objectives: Sequence[Objective], metrics: Sequence[str], names: Sequence[str]) -> list[Any]:
    """One trial as a row: number, state, primary objective, epochs, seconds, operator, dynamic layers, layers, reason, operators,
    followed by the other objectives and the cost metrics.
    """
    used, score = operator_mix(trial.architecture), trial.score
    first, *others = (_finite(o.of(score)) for o in objectives)
    return [
        trial.number, STATES.index(trial.state), first,
        score.epochs if score else 0, score.seconds if score else 0, names.index(_most_used(used)),
        sum(count for name, count in used.items() if name not in STATIC_OPERATORS), sum(used.values()), _reason(trial),
        said_mix(used, trial.architecture.dynamic_activations),
        *others, *(trial.cost.values.get(m) for m in metrics),
    ]  # fmt: skip


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


def _reason(trial: Trial) -> str:
    """The reason of the state; empty for refused and replayed trials, because the cost of a refused one shows why."""
    return "" if trial.state in ("refused", "replayed") else trial.reason[:200]


def payload(live: Source, since: int = 0) -> dict[str, Any]:
    """All data for the charts and the table of a run's page; with `since` only the rows that changed after that version."""
    version, run = live.version, live.run
    metrics, paint = metrics_of(run), operators_of(live)
    names = list(paint)
    line = live.front
    trials = live.since(since) if since else run.trials
    return {
        "version": version,
        "run": run.name,
        "goals": [o.drawn() for o in run.goals.objectives],
        "metrics": metrics,
        "titles": {m: metric_name(m) for m in metrics},
        "axisTitles": {m: axis_name(m) for m in metrics},
        "axisUnits": {m: axis_units(m) for m in metrics},
        "units": {m: units(m) for m in metrics},
        "operators": [{"name": p.name, "index": p.index, "marker": p.marker, "letters": p.letters} for p in paint.values()],
        "states": [SAID.get(s, s) for s in STATES],
        "rows": [row(t, run.goals.objectives, metrics, names) for t in trials],
        "front": [t.number for t in line],
        "undecided": sorted(verdict_of(live).undecided),
        "objective": run.cost_shown,
        "frontOf": objectives(run),
        "asked": run.epochs,
        "budgets": {b.metric: [b.at_least, b.at_most] for b in run.budgets},
        "history": steps(live.moments),
        "share": shares(line, names),
        "notes": {str(number): [note.starred, note.text] for number, note in live.notes.items()},
        "facts": facts(live),
    }


def steps(moments: Sequence[Moment]) -> list[list[Any]]:
    """The moments at which the hypervolume or the best value changed, and the last moment."""
    kept: list[Moment] = []
    for moment in moments:
        if not kept or (moment.hypervolume, moment.best) != (kept[-1].hypervolume, kept[-1].best):
            kept.append(moment)
    if moments and kept[-1] is not moments[-1]:
        kept.append(moments[-1])
    return [[m.ended, round(m.seconds, 1), round(m.hypervolume, 5), m.best] for m in kept]


def shares(trials: Iterable[Trial], names: Sequence[str]) -> list[list[Any]]:
    """(stage, number of layers with each operator of `names`), summed over the trials."""
    found: dict[str, Counter[str]] = {}
    for trial in trials:
        for slot, name in trial.architecture.operators.items():
            found.setdefault(slot.split(".")[0], Counter())[name] += 1
    return [[stage, [counts[name] for name in names]] for stage, counts in found.items()]


def facts(live: Source) -> dict[str, str]:
    """Texts of the head and the tiles of a run's page, by the name of the element that shows each."""
    run, line, found = live.run, live.front, verdict_of(live)
    best = found.best
    volume, change = _hypervolume(live.moments)
    said = {
        "status": run.status.capitalize(), "notice": notice(found), "left": left(run), "heading": " · ".join(heading(run)),
        "parts": f"{[t.number for t in line]} {len(run.confirmations)}",
        "progress": f"{run.ended:,} of {run.asked:,} trainings" + (f"; {to_confirm}" if (to_confirm := confirming(run)) else ""),
        "tally": tally(run.counts),
        "best": "–", "best-detail": "No network has finished within the budget yet.", "best-number": "",
        "area": f"{found.area.value:.3f}" if found.area else "–", "area-detail": area_basis(found),
        "static": "–", "static-detail": "The static reference network has not finished.",
        "front": str(len(line)), "front-detail": _front_detail(run, found), "resolution": resolution(found) if best else "",
        "volume": f"{volume:.3f}", "volume-detail": change,
        "value": str(min(run.ended, run.asked)),
    }  # fmt: skip
    if best and best.score:
        detail = f"trial {best.number} · {costs(best.cost)} · {evidence(run, best)}"
        said |= {"best": run.objective.said(run.value(best)), "best-detail": detail, "best-number": str(best.number)}
    return said | against(found)


def notice(found: Verdict) -> str:
    """Why a search is not running and how to continue it, and how many trainings learned nothing; empty if all is well."""
    run = found.run
    early = f"The search ended early: {run.ended_early}." if run.ended_early else ""
    go_on = f"Continue with: {run.to_go_on}" if run.status == "interrupted" else ""
    return " ".join(filter(None, (early, go_on, guessing(found))))


def verdict_of(live: Source) -> Verdict:
    """The results of a run and their uncertainty, computed once for each version of the run."""
    return live.remembered("verdict", lambda: Verdict(live.run, tuple(live.front)))


def against(found: Verdict) -> dict[str, str]:
    """The best network compared with the static one, and whether images and seeds suffice to distinguish the two."""
    run, best, static, pair = found.run, found.best, found.run.static, found.against_static
    if best is None or static is None or static.state != "finished":
        return {}
    cost = quantity(run.cost_shown, static.cost[run.cost_shown])
    detail = f"trial {static.number}, all static: {value_said(run, static)}, {cost}"
    if best.number == static.number:
        return {"static": "the same", "static-detail": f"{detail}; nothing better was found"}
    if pair is None:
        return {}
    shown = pair.objective.difference(pair.difference.mean) if pair.settled else OPEN
    return {"static": shown, "static-detail": f"{pair.said}; {detail}"}


def _front_detail(run: Run, found: Verdict) -> str:
    """How many finished networks the front was chosen from, and how many of its members are not distinguishable from others."""
    open_ = f"; {len(found.undecided)} of them {OPEN} from another (~)" if found.undecided else ""
    return f"out of {run.counts.get('finished', 0):,} finished networks, by {objectives(run)} of one training each{open_}"


def _hypervolume(moments: Sequence[Moment]) -> tuple[float, str]:
    if not moments:
        return 0.0, "Nothing has finished yet."
    last, before = moments[-1], moments[max(0, len(moments) - 1 - RECENT)]
    if len(moments) <= RECENT or not before.hypervolume:
        return last.hypervolume, f"after {counted(len(moments), 'training')}"
    return last.hypervolume, f"{100 * (last.hypervolume / before.hypervolume - 1):+.1f} % over the last {RECENT} trainings"


def heading(run: Run) -> list[str]:
    """Phrases that describe the search: space, data and epochs, budgets, sampler and training time."""
    config = run.config
    space = dict(config.get("space", {}) or {})
    parts = [str(space.get("name", "")), trained_on(run)]
    parts += [f"budget {b}" for b in run.budgets] or ["no budget"]
    parts += [f"sampler {config['sampler']}"] if "sampler" in config else []
    parts += [f"{duration(run.seconds)} {'from proposal to result' if run.trained_elsewhere else 'of training'}"]
    return [p for p in parts if p]


def trained_on(run: Run) -> str:
    """Data and epochs of each training: ``fashion-mini, 8 epochs per training``, or ``1 + 7 epochs`` when a separate short
    training (scan) comes first; empty when unknown.
    """
    if run.trained_elsewhere:
        return "trained by a loop outside dcdnas"
    what = f"task {run.own_task}" if run.own_task else str(run.recipe.get("data", ""))
    scan = int((run.config.get("task") or {}).get("scan", 0))
    long = f"{scan} + {run.epochs - scan} epochs" if scan else counted(run.epochs, "epoch")
    return f"{what}, {long} per training" if run.epochs else what


def recipe(run: Run) -> list[tuple[str, Any]]:
    """Labels and values of the training settings; a setting of 0 that keeps a property of the data names that property."""
    if run.own_task:
        return [("Task", run.own_task), *([("Epochs", run.epochs)] if run.epochs else [])]
    task, own = run.recipe, {"resolution": "the images' own", "classes": "all of the data"}
    hidden = {"seed", "deadline", "first_rung", *(k for k in ("deployed_side", "skip_damaged", "scan") if not task.get(k))}
    shown = {k: v or own.get(k, v) for k, v in task.items() if k not in hidden}
    return [(RECIPE.get(k, k.replace("_", " ").capitalize()), v) for k, v in shown.items()]


def confirming(run: Run) -> str:
    """How many confirming trainings remain after the last training of the search; empty before that and when none remain."""
    if run.ended < run.asked or not run.unconfirmed:
        return ""
    return f"{counted(run.unconfirmed, 'training')} left to confirm the best networks on fresh seeds"


def left(run: Run) -> str:
    """Estimated remaining time of a running search at its average pace so far; empty when there is no basis for an estimate."""
    ended = [t for t in run.trials if t.state in ("finished", "stopped")]
    if run.status != "running" or not ended or run.ended >= run.asked:
        return ""
    return f"about {duration(_busy(ended) / len(ended) * (run.asked - run.ended))} left"


def _busy(trials: Sequence[Trial]) -> float:
    """Seconds during which at least one of the trials was in training, so without the pauses between sessions of a search."""
    busy, until = 0.0, 0.0
    for trial in sorted(trials, key=lambda t: t.started):
        busy += max(0.0, trial.ended - max(trial.started, until))
        until = max(until, trial.ended)
    return busy


def fits(run: Run, trial: Trial) -> bool:
    """Whether a trial is within the run's budgets."""
    return within(trial.cost, run.budgets)


def moment(seconds: float) -> str:
    """A time in the local time zone, to the minute; a dash for 0."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "–"
