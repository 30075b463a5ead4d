"""The area above the uniform static ladder (U): how far a search's networks beat networks that need no search, at every cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.pareto import logarithm

NUMBERS = 1_000_000
"""Largest number of values that a bootstrap holds in memory at once."""


class Point(NamedTuple):
    """A trained network: its cost, its objective scaled from 0 (chance) to 1, and whether it is a rung of the ladder."""

    cost: float
    value: float
    rung: bool


class Area(NamedTuple):
    """U with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def area_above(points: Sequence[Point], cheapest: float, budget: float, least: float = 1.0) -> float:
    """U, 0 to 1: the area between two staircases, the best value at or below each cost of all points and of the rungs alone.

    Args:
        points: all finished networks, including the ladder's rungs.
        cheapest: cost where the axis begins; the area below it does not count.
        budget: cost where the axis ends. The axis is the logarithm of the cost, scaled to 0-1.
        least: value that replaces a cost of 0 on this axis, see `dcdnas.core.units.Notation.least`.
    """
    steps = _Steps(points, cheapest, budget, least)
    return float(steps.area(steps.values))


def area_with_interval(
    points: Sequence[Point],
    cheapest: float,
    budget: float,
    deviations: Sequence[float],
    least: float = 1.0,
    draws: int = 1000,
    seed: int = 0,
) -> Area:
    """U with a 95 % confidence interval from a parametric bootstrap, which redraws every reading around its value.

    The best of several noisy readings is biased upwards, so U is too large, by about as much as redrawing adds once more. The
    interval therefore begins at the reflected end, twice U minus the upper quantile of the draws; the quantiles themselves would
    cover the true area in as few as 22 % of simulated searches. But an area cannot be negative, so in small searches, where U is
    often 0, readings may as well hide the gain. The interval ends at the other reflected end or at the upper quantile, whichever
    is higher; `benchmarks/area_interval.py` measures how often it covers the true area.

    Args:
        points: as for `area_above`.
        cheapest: as for `area_above`.
        budget: as for `area_above`.
        deviations: standard error of each point's value.
        least: as for `area_above`.
        draws: number of bootstrap draws.
        seed: seed of the draws.
    """
    steps = _Steps(points, cheapest, budget, least)
    errors = np.array([deviations[i] for i in steps.order])
    rng = np.random.default_rng(seed)
    rows = max(1, NUMBERS // max(1, len(errors)))
    at_once = [min(rows, draws - done) for done in range(0, draws, rows)]
    again = [steps.area(np.clip(rng.normal(steps.values, errors, (n, len(errors))), 0.0, 1.0)) for n in at_once]
    drawn = np.sort(np.concatenate(again))
    value, tail = float(steps.area(steps.values)), round(0.025 * draws)
    low, high = float(drawn[tail]), float(drawn[-1 - tail])
    return Area(value, max(0.0, 2 * value - high), max(2 * value - low, high))


class _Steps:
    """The points within the budget by increasing cost, and the share of the axis between each point and the next."""

    def __init__(self, points: Sequence[Point], cheapest: float, budget: float, least: float) -> None:
        self.order = sorted((i for i, p in enumerate(points) if p.cost <= budget), key=lambda i: points[i].cost)
        self.values = np.array([points[i].value for i in self.order])
        self._rungs = np.array([points[i].rung for i in self.order], dtype=bool)
        start, end = logarithm(cheapest, least), logarithm(budget, least)
        at = [max(start, logarithm(points[i].cost, least)) for i in self.order]
        self._widths = np.diff([*at, end]) / (end - start) if end > start else np.zeros(len(at))

    def area(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The area (...) between the two staircases for values (..., N) in the order of increasing cost."""
        best = np.maximum.accumulate(values, -1)
        rungs = np.maximum.accumulate(np.where(self._rungs, values, 0.0), -1)
        found: NDArray[np.float64] = (np.maximum(best, 0.0) - rungs) @ self._widths
        return found
