"""Figures of a whole run: its front, its hypervolume, and the operators of the networks on the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial
from dcdnas.core.units import axis_name, quantity
from dcdnas.errors import UsageError
from dcdnas.pages.figures._canvas import new_axes
from dcdnas.pages.figures._words import BUDGET, INK, legend_above, pale, short, unit_of
from dcdnas.pages.palette import COLOURS, paints
from dcdnas.pages.payload import drawn_as, in_sentence, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dcdnas.results import Run

WIDE = 20.0
"""The cost axis is logarithmic when the most expensive network costs more than this multiple of the cheapest."""

FAR = 3.0
"""A budget above this multiple of the most expensive network's cost is not drawn."""

SHAPES: dict[str, Any] = {
    "square": "s", "circle": "o", "diamond": "D", "up": "^", "down": "v", "plus": "P", "cross": "X", "star": "*",
    "bar": [(-1.5, -0.5), (1.5, -0.5), (1.5, 0.5), (-1.5, 0.5), (-1.5, -0.5)], "left": "<", "right": ">", "hexagon": "H",
    "pillar": [(-0.5, -1.5), (0.5, -1.5), (0.5, 1.5), (-0.5, 1.5), (-0.5, -1.5)],
    "hourglass": [(-1.1, 1.2), (1.1, 1.2), (0.2, 0), (1.1, -1.2), (-1.1, -1.2), (-0.2, 0), (-1.1, 1.2)],
    "bow": [(-1.2, 1.1), (0, 0.2), (1.2, 1.1), (1.2, -1.1), (0, -0.2), (-1.2, -1.1), (-1.2, 1.1)],
    "house": [(0, 1.3), (1.1, 0.2), (1.1, -1.1), (-1.1, -1.1), (-1.1, 0.2), (0, 1.3)],
    "chevron": [(-1.2, 1.1), (0, 0), (1.2, 1.1), (1.2, -0.1), (0, -1.2), (-1.2, -0.1), (-1.2, 1.1)],
    "tee": [
        (-1.2, 1.2), (1.2, 1.2), (1.2, 0.4), (0.4, 0.4), (0.4, -1.2), (-0.4, -1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, 1.2),
    ],
    "shield": [(0, -1.3), (1.1, -0.2), (1.1, 1.1), (-1.1, 1.1), (-1.1, -0.2), (0, -1.3)],
    "peak": [(-1.2, -1.1), (0, 0), (1.2, -1.1), (1.2, 0.1), (0, 1.2), (-1.2, 0.1), (-1.2, -1.1)],
    "foot": [
        (-1.2, -1.2), (1.2, -1.2), (1.2, -0.4), (0.4, -0.4), (0.4, 1.2), (-0.4, 1.2), (-0.4, -0.4), (-1.2, -0.4), (-1.2, -1.2),
    ],
}  # fmt: skip
"""The pages' marker shapes as matplotlib markers."""


def plot_front(run: Run, ax: Axes | None = None) -> Axes:
    """Plots the objective against cost: finished trials, front, budget, and confirmed means with standard deviations.

    A network has the colour of the operator with the most layers besides ``static``; ``with dcd`` in the legend.

    Args:
        run: with at least one finished trial.
        ax: axes to draw on; those of a new figure when None. Costs are in the unit that the axis title names, shares in percent.

    Raises:
        UsageError: when no trial has finished.
        MissingPackageError: when a new figure is needed and matplotlib is not installed.
    """
    shown, metric = [t for t in run.trials if t.state == "finished" and t.score], run.cost_shown
    if not shown:
        raise _nothing(run)
    ax = new_axes(6.0, 4.2) if ax is None else ax
    costs = [t.cost[metric] for t in shown]
    bound = _bound(run, max(costs))
    size, unit = unit_of(metric, max([*costs, *bound]))
    _cost_axis(ax, min(costs), max(costs))
    _points(ax, run, shown, size)
    _steps(
        ax, [(t.cost[metric] / size, _height(run, t)) for t in run.front()], run.objective, min(bound, default=max(costs)) / size
    )
    _confirmed(ax, run, size)
    for at_most in bound:
        _budget(ax, at_most / size, max(costs) / size, f"budget {quantity(metric, at_most)}")
    ax.set_xlabel(axis_name(metric) + unit)
    ax.set_ylabel(f"Validation {in_sentence(run.objective.axis)}")
    legend_above(ax)
    return ax


def plot_hypervolume(run: Run, ax: Axes | None = None) -> Axes:
    """Plots the hypervolume after each training that ended: the share of the box between the bounds that the front dominates.

    Args:
        run: with at least one training that ended.
        ax: axes to draw on; those of a new figure when None.

    Raises:
        UsageError: when no training has ended.
        MissingPackageError: when a new figure is needed and matplotlib is not installed.
    """
    if not run.history:
        raise _nothing(run)
    ax = new_axes(6.0, 3.2) if ax is None else ax
    ended, volumes = [0, *(m.ended for m in run.history)], [0.0, *(m.hypervolume for m in run.history)]
    ax.fill_between(ended, volumes, step="post", color=pale(COLOURS[2], 0.15), linewidth=0)
    ax.step(ended, volumes, where="post", color=COLOURS[2], linewidth=1.3)
    ax.locator_params(axis="x", integer=True)
    ax.margins(x=0)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("Trainings that ended")
    ax.set_ylabel("Hypervolume (0–1)")
    return ax


def plot_operators(run: Run, ax: Axes | None = None) -> Axes:
    """Plots each operator's share of the searched layers, stage by stage, over the networks of the front.

    Args:
        run: with at least one network on the front.
        ax: axes to draw on; those of a new figure when None. The stages are at x = 0, 1, 2 and so on.

    Raises:
        UsageError: when no trial within the budgets has finished.
        MissingPackageError: when a new figure is needed and matplotlib is not installed.
    """
    line = run.front()
    if not line:
        raise _nothing(run)
    ax = new_axes(6.0, 3.6) if ax is None else ax
    present = {c.operator for t in line for c in t.architecture.layers.values()}
    used = [paint for name, paint in paints(present).items() if name in present]
    found = shares(line, [p.name for p in used])
    places, below = range(len(found)), [0.0] * len(found)
    for i, paint in enumerate(used):
        heights = [100 * counts[i] / sum(counts) for _, counts in found]
        colour, label = COLOURS[paint.index], f"{paint.letters} {paint.name}"
        ax.bar(places, heights, width=0.76, bottom=below, color=colour, edgecolor="white", linewidth=0.4, label=label)
        for x, height in enumerate(heights):
            if height > 9:
                ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
                ax.text(
                    x, below[x] + height / 2, paint.letters, ha="center", va="center", weight="bold", size="small", bbox=ground
                )
        below = [a + b for a, b in zip(below, heights, strict=True)]
    ax.set_xticks(places, [short(stage) for stage, _ in found])
    ax.set_ylim(0, 100)
    ax.set_xlabel("Stage")
    ax.set_ylabel("Searched layers of the front (%)")
    legend_above(ax)
    return ax


def _nothing(run: Run) -> UsageError:
    return UsageError(
        f"{run.name} has no finished trial within its budget, so it has no figures. Continue: `dcdnas resume {run.called}`."
    )


def _height(run: Run, trial: Trial) -> float:
    """Position of a trial on the axis of the objective."""
    value = run.reading(trial)
    return math.nan if value is None else run.objective.size * value


def _cost_axis(ax: Axes, low: float, high: float) -> None:
    """Makes the cost axis logarithmic when costs differ by more than `WIDE`; below three decades with ticks at 1, 2 and 5."""
    if not high > WIDE * low > 0:
        return
    ax.set_xscale("log", subs=[])
    if high < 1000 * low:
        locator: Any = ax.xaxis.get_major_locator()
        locator.set_params(subs=(1.0, 2.0, 5.0))
    ax.xaxis.set_major_formatter("{x:g}")


def _points(ax: Axes, run: Run, shown: Sequence[Trial], size: float) -> None:
    """Draws the trials by operator; those of the front are larger, outlined and above the others."""
    line, used = {t.number for t in run.front()}, {drawn_as(t) for t in shown}
    for name, paint in paints(used).items():
        if name not in used:
            continue
        label = "all static" if name == "static" else f"with {name}"
        for on_front in (False, True):
            drawn = [t for t in shown if drawn_as(t) == name and (t.number in line) == on_front]
            ax.scatter(
                [t.cost[run.cost_shown] / size for t in drawn], [_height(run, t) for t in drawn], s=34 if on_front else 16,
                color=COLOURS[paint.index], marker=SHAPES[paint.marker], linewidths=0.7 if on_front else 0.0, edgecolors=INK,
                zorder=3.5 if on_front else 3, label="_" if on_front else label,
            )  # fmt: skip


def _bound(run: Run, dearest: float) -> list[float]:
    """Upper bounds of the metric on the cost axis, except those too far beyond the most expensive network to draw."""
    return [b.at_most for b in run.budgets if b.metric == run.cost_shown and b.at_most <= FAR * dearest]


def _budget(ax: Axes, bound: float, dearest: float, label: str) -> None:
    """Draws a line at the bound and shades the region beyond it up to the end of the axis."""
    right = 1.04 * max(bound, dearest)
    beyond = ax.axvspan(bound, right, color=pale(BUDGET, 0.08), linewidth=0, zorder=0)
    beyond.sticky_edges.x.append(right)
    ax.axvline(bound, color=BUDGET, linewidth=0.9, linestyle=(0, (4, 2)), label=label)


def _steps(ax: Axes, line: Sequence[tuple[float, float]], objective: Objective, end: float) -> None:
    """Draws the best value reached at or below each cost. With three objectives only a part of the front lies on this line."""
    path: list[tuple[float, float]] = []
    for cost, value in line:
        if not path or objective.better(value, path[-1][1]):
            path.append((cost, value))
    if path:
        path.append((max(end, path[-1][0]), path[-1][1]))
        ax.step(*zip(*path, strict=True), where="post", color=INK, linewidth=1.0, zorder=2.5, label="front (one training each)")


def _confirmed(ax: Axes, run: Run, size: float) -> None:
    """Draws the means over fresh seeds, with the standard deviation over seeds where there are at least two."""
    found = run.confirmed
    if not found:
        return
    seeds = sorted({len(c.values) for c in found})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    costs, means = [c.trial.cost[run.cost_shown] / size for c in found], [run.objective.size * c.mean for c in found]
    spreads = [run.objective.size * (c.spread or 0.0) for c in found]
    ax.errorbar(
        costs, means, yerr=spreads, fmt="_", color=INK, markersize=8, markeredgewidth=1.4, elinewidth=0.8, capsize=2, zorder=4,
        label=f"mean ± std on {count} fresh seeds",
    )  # fmt: skip
