"""Runs, trials and fronts as tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from dcdnas.core.trial import Trial
from dcdnas.core.units import duration, metric_name, mix, percent, quantity
from dcdnas.results import Confirmed, Run


def table(*columns: str, title: str = "") -> Table:
    """An empty table; columns whose name begins with ``>`` are numbers and stand to the right."""
    made = Table(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False, padding=(0, 1)
    )
    for name in columns:
        made.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    return made


def trials_table(
    run: Run, trials: Sequence[Trial], on_front: Collection[int] = (), notes: Mapping[int, str] | None = None
) -> Table:
    """One row a trial: its accuracies, costs, epochs, time, operators, state and reason; its note where any has one."""
    metrics = list(trials[0].cost.values) if trials else []
    heads, cells = _accuracies(run, trials)
    made = table(
        ">Trial", *heads, *(f">{metric_name(m)}" for m in metrics), ">Epochs", ">Time", "Layers", "State",
        *(("Note",) if notes else ()),
    )  # fmt: skip
    for t in trials:
        score = t.score
        mark = "* " if t.number in on_front else ""
        made.add_row(
            f"{mark}{t.number}", *cells(t), *(quantity(m, t.cost[m]) for m in metrics),
            str(score.epochs) if score else "", duration(score.seconds) if score and score.seconds else "",
            mix(t.architecture), _state(t), *((Text(notes.get(t.number, "")),) if notes else ()),
        )  # fmt: skip
    return made


def front_table(run: Run, line: Sequence[Trial], undecided: Collection[int], title: str) -> Table:
    """One row a network of the front; a tilde marks those whose place in its order the noise leaves open."""
    metrics = list(line[0].cost.values) if line else []
    heads, cells = _accuracies(run, line)
    made = table("Trial", *heads, *(f">{metric_name(m)}" for m in metrics), "Layers", title=title)
    for t in line:
        mark = " ~" if t.number in undecided else ""
        made.add_row(f"{t.number}{mark}", *cells(t), *(quantity(m, t.cost[m]) for m in metrics), mix(t.architecture))
    return made


def _accuracies(run: Run, trials: Sequence[Trial]) -> tuple[list[str], Callable[[Trial], list[str]]]:
    """Columns of the accuracies, each with what it is of, and their cells for a trial."""
    again = {c.trial.number: percent(c.mean) for c in run.confirmed}
    beside = any(t.number in again for t in trials)

    def cells(trial: Trial) -> list[str]:
        once = percent(trial.score.accuracy if trial.score else None)
        return [once, again.get(trial.number, "")] if beside else [once]

    return [">One training", *([">Fresh seeds"] if beside else [])], cells


def confirmed_table(rows: Sequence[Confirmed]) -> Table:
    """One row a network that was trained again: mean and spread over the seeds, its costs, what it is."""
    metrics = list(rows[0].trial.cost.values) if rows else []
    made = table(
        ">Trial", ">Mean", ">± std", ">Seeds", *(f">{metric_name(m)}" for m in metrics), "Layers",
        title="Trained again on fresh seeds",
    )  # fmt: skip
    for c in rows:
        t, spread = c.trial, c.spread
        what = mix(t.architecture) + (" (static reference)" if t.origin == "static" else "")
        made.add_row(
            str(t.number), percent(c.mean), f"{100 * spread:.1f}" if spread is not None else "", str(len(c.accuracies)),
            *(quantity(m, t.cost[m]) for m in metrics), what,
        )  # fmt: skip
    return made


def _state(trial: Trial) -> str:
    said = {"stopped": "stopped early"}.get(trial.state, trial.state)
    detail = trial.reason if trial.state != "stopped" else ""
    return f"{said}: {detail}" if detail else said


def latency_table(run: Run, trials: Sequence[Trial]) -> Table:
    """Predicted beside measured latency of networks that were measured whole."""
    made = table(">Trial", ">Predicted", ">Measured", ">Quartiles apart", ">Difference")
    for t in trials:
        if found := run.timed.get(t.deployed):
            difference = t.cost["latency"] / found["latency"] - 1
            cells = (quantity("latency", v) for v in (t.cost["latency"], found["latency"], found["iqr"]))
            made.add_row(str(t.number), *cells, f"{100 * difference:+.1f} %")
    return made
