"""Runs, trials and fronts as tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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
    trials: Sequence[Trial], on_front: Collection[int] = (), title: str = "", notes: Mapping[int, str] | None = None
) -> Table:
    """One row a trial: number, accuracy, costs, epochs, time, operators, state and reason; its note where any has one."""
    metrics = list(trials[0].cost.values) if trials else ["flops", "params"]
    made = table(
        ">Trial", ">Accuracy", *(f">{metric_name(m)}" for m in metrics), ">Epochs", ">Time", "Layers", "State",
        *(("Note",) if notes else ()), title=title,
    )  # fmt: skip
    for t in trials:
        score = t.score
        mark = "* " if t.number in on_front else ""
        made.add_row(
            f"{mark}{t.number}", percent(score.accuracy if score else None), *(quantity(m, t.cost[m]) for m in metrics),
            str(score.epochs) if score else "", duration(score.seconds) if score and score.seconds else "",
            mix(t.architecture), _state(t), *((Text(notes.get(t.number, "")),) if notes else ()),
        )  # fmt: skip
    return made


def confirmed_table(rows: Sequence[Confirmed]) -> Table:
    """One row a network that was trained again: mean and spread over the seeds, its costs, what it is."""
    metrics = list(rows[0].trial.cost.values) if rows else ["flops", "params"]
    made = table(
        ">Trial", ">Accuracy, mean", ">± std", ">Seeds", *(f">{metric_name(m)}" for m in metrics), "Layers",
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
        if found := run.timed.get(t.architecture.digest):
            difference = t.cost["latency"] / found["latency"] - 1
            cells = (quantity("latency", v) for v in (t.cost["latency"], found["latency"], found["iqr"]))
            made.add_row(str(t.number), *cells, f"{100 * difference:+.1f} %")
    return made
