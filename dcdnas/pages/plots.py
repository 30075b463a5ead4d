"""Figures of a run, as plotly figures: they show themselves in a notebook, and `dcdnas report` puts them on a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from dcdnas.core.budget import quantity
from dcdnas.core.trial import Trial
from dcdnas.core.units import costs, metric_name, mix, percent
from dcdnas.pages.palette import COLOURS, Paint, paints
from dcdnas.pages.payload import mostly

if TYPE_CHECKING:
    from dcdnas.results.run import Run

SYMBOLS = {"up": "triangle-up", "down": "triangle-down", "plus": "cross", "cross": "x", "bar": "hexagon"}
"""Plotly's words for the markers of the pages, where they differ."""

BUDGET = "#c4314b"
WIDE = 20
"""Ratio of dearest to cheapest from which a cost axis is logarithmic."""

MARGIN = {"l": 60, "r": 20, "t": 30, "b": 50}
STYLE = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#767e89"},
    "margin": MARGIN,
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    "hoverlabel": {"align": "left"},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "rgba(128,128,128,0.6)", "activecolor": "#808790"},
}
AXIS = {"gridcolor": "rgba(128,128,128,0.25)", "zeroline": False, "ticks": "outside", "tickcolor": "rgba(128,128,128,0.5)"}


def front_figure(run: Run) -> go.Figure:
    """Accuracy against the first objective's cost: trials by their operators, the front as steps, budget, confirmed means."""
    metric = run.cost_shown
    shown = [t for t in run.trials if t.state == "finished" and t.score]
    line = run.front()
    figure = go.Figure()
    _steps(figure, line, metric)
    on_front = {t.number for t in line}
    for name, paint in groups(shown):
        members = [t for t in shown if mostly(t) == paint.name]
        figure.add_scatter(
            x=[t.cost[metric] for t in members], y=[_percent(t) for t in members], mode="markers", name=name,
            text=[hover(run, t) for t in members], customdata=[t.number for t in members],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": COLOURS[paint.index], "symbol": SYMBOLS.get(paint.marker, paint.marker),
                "size": [11 if t.number in on_front else 8 for t in members],
                "opacity": [1.0 if t.number in on_front else 0.7 for t in members],
                "line": {"width": [1.5 if t.number in on_front else 0 for t in members], "color": "#808790"},
            },
        )  # fmt: skip
    _confirmed(figure, run, metric)
    _budget(figure, run, metric, shown)
    figure.update_layout(**STYLE, xaxis=_cost_axis(metric, shown), yaxis={**AXIS, "title": "Validation accuracy (%)"})
    return figure


def history_figure(run: Run) -> go.Figure:
    """Hypervolume and the best accuracy within the budget against the trainings that ended."""
    moments = run.history
    text = [f"{m.ended} trainings, {m.epochs} epochs, {m.seconds:,.0f} s of computing" for m in moments]
    figure = go.Figure()
    figure.add_scatter(
        x=[m.ended for m in moments], y=[m.hypervolume for m in moments], mode="lines", name="Hypervolume (0 to 1)", text=text,
        line={"shape": "hv", "color": COLOURS[2], "width": 2}, fill="tozeroy", fillcolor="rgba(0,114,178,0.12)",
        hovertemplate="%{y:.3f} after %{text}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[m.ended for m in moments], y=[None if m.best is None else 100 * m.best for m in moments],
        yaxis="y2", text=text, mode="lines",
        name="Best within the budget (%, one training)", line={"shape": "hv", "color": COLOURS[7], "width": 2, "dash": "dot"},
        hovertemplate="%{y:.1f} % after %{text}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        **{**STYLE, "margin": {**MARGIN, "r": 60}}, xaxis={**AXIS, "title": "Trainings that ended"},
        yaxis={**AXIS, "title": "Hypervolume", "rangemode": "tozero"},
        yaxis2={**AXIS, "tickformat": ".1f", "overlaying": "y", "side": "right", "showgrid": False},
    )  # fmt: skip
    return figure


def operators_figure(run: Run) -> go.Figure:
    """Which operators the networks of the front use, stage by stage, as shares of their layers."""
    counts: dict[str, dict[str, int]] = {}
    for trial in run.front():
        for slot, choice in trial.architecture.layers.items():
            stage = counts.setdefault(slot.split(".")[0], {})
            stage[choice.operator] = stage.get(choice.operator, 0) + 1
    stages = sorted(counts)
    present = {name for stage in counts.values() for name in stage}
    used = paints(present)
    names = [name for name in used if name in present]
    figure = go.Figure()
    for name in names:
        shares = [100 * counts[s].get(name, 0) / sum(counts[s].values()) for s in stages]
        figure.add_bar(
            x=stages, y=shares, name=name, marker={"color": COLOURS[used[name].index], "line": {"width": 0}},
            hovertemplate=f"{name}: %{{y:.0f}} % of the layers of %{{x}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        **STYLE, barmode="stack", bargap=0.25, xaxis={**AXIS, "title": "Stage"}, yaxis={**AXIS, "title": "Layers (%)"}
    )
    return figure


def groups(trials: Sequence[Trial]) -> list[tuple[str, Paint]]:
    """Name and paint of each group of trials: all static, or mostly one dynamic operator."""
    used = {mostly(t) for t in trials}
    return [(group(name), paint) for name, paint in paints(used).items() if name in used]


def group(operator: str) -> str:
    """Trials whose layers are mostly this operator."""
    return "all static" if operator == "static" else f"mostly {operator}"


def hover(run: Run, trial: Trial) -> str:
    """What the pointer reads at a trial."""
    confirmed = next((c for c in run.confirmed if c.trial.number == trial.number), None)
    more = f"<br>{percent(confirmed.mean)} on {len(confirmed.accuracies)} fresh seeds" if confirmed else ""
    role = {"static": "static reference", "start": "random start"}.get(trial.origin, trial.origin)
    accuracy = percent(trial.score.accuracy if trial.score else None)
    lines = [
        f"<b>Trial {trial.number}</b> ({role})",
        f"{accuracy} in one training{more}",
        costs(trial.cost),
        mix(trial.architecture),
    ]
    return "<br>".join(lines)


def _percent(trial: Trial) -> float:
    return 100 * trial.score.accuracy if trial.score else math.nan


def _steps(figure: go.Figure, line: Sequence[Trial], metric: str) -> None:
    """The front: what accuracy can be had for at most this cost."""
    best = -math.inf
    steps = []
    for t in line:  # with three objectives the front of two of them is part of it
        if _percent(t) > best:
            best = _percent(t)
            steps.append(t)
    figure.add_scatter(
        x=[t.cost[metric] for t in steps], y=[_percent(t) for t in steps], mode="lines", name="Pareto front",
        line={"shape": "hv", "width": 1.5, "color": "#808790"}, hoverinfo="skip",
    )  # fmt: skip


def _confirmed(figure: go.Figure, run: Run, metric: str) -> None:
    if not run.confirmed:
        return
    figure.add_scatter(
        x=[c.trial.cost[metric] for c in run.confirmed], y=[100 * c.mean for c in run.confirmed], mode="markers",
        name="mean on fresh seeds ± std",
        marker={"symbol": "line-ew-open", "size": 16, "color": "#808790", "line": {"width": 2.5}},
        error_y={"type": "data", "array": [100 * (c.spread or 0) for c in run.confirmed], "thickness": 1.2, "color": "#808790"},
        text=[f"Trial {c.trial.number}: {percent(c.mean)} on {len(c.accuracies)} fresh seeds" for c in run.confirmed],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _budget(figure: go.Figure, run: Run, metric: str, shown: Sequence[Trial]) -> None:
    """The budget as a line, and what is beyond it shaded."""
    bound = next((b for b in run.budgets if b.metric == metric), None)
    if bound is None:
        return
    right = max([bound.at_most, *(t.cost[metric] for t in shown)]) * 1.06
    figure.add_vrect(x0=bound.at_most, x1=right, fillcolor=BUDGET, opacity=0.07, line_width=0, layer="below")
    figure.add_vline(x=bound.at_most, line={"color": BUDGET, "dash": "dash", "width": 1.5})
    logarithmic = _logarithmic([t.cost[metric] for t in shown])
    figure.add_annotation(
        x=math.log10(bound.at_most) if logarithmic else bound.at_most, y=0, yref="paper", xanchor="right", yanchor="bottom",
        text=f"budget {quantity(metric, bound.at_most)} ", showarrow=False, font={"color": BUDGET},
    )  # fmt: skip


def _logarithmic(values: Sequence[float]) -> bool:
    return bool(values) and max(values) > WIDE * min(values) > 0


def _cost_axis(metric: str, shown: Sequence[Trial]) -> dict[str, object]:
    name = "FLOPs (multiply-adds)" if metric == "flops" else metric_name(metric)
    kind = "log" if _logarithmic([t.cost[metric] for t in shown]) else "linear"
    return {**AXIS, "title": name, "type": kind, "tickformat": "~s"}
