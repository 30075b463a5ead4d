"""The area above the uniform static ladder (U): by how much a search's networks beat what needs no search, at every cost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from dcdnas.core.pareto import logarithm


class Point(NamedTuple):
    """A trained network: its cost, its objective scaled from 0 (chance) to 1, and whether it is a rung of the ladder."""

    cost: float
    value: float
    rung: bool


class Area(NamedTuple):
    """U with its 95 % interval."""

    value: float
    low: float
    high: float


def area_above(points: Sequence[Point], cheapest: float, budget: float) -> float:
    """U, 0 to 1: the area between two staircases, the best value at or below each cost of all points and of the rungs alone.

    Args:
        points: all finished networks, the ladder's rungs among them.
        cheapest: cost where the axis begins; below it nothing counts.
        budget: cost where it ends. The axis is the logarithm of the cost, scaled to 0-1.
    """
    start, end = logarithm(cheapest), logarithm(budget)
    if end <= start:
        return 0.0
    inside = sorted((p for p in points if p.cost <= budget), key=lambda p: p.cost)
    area = best = rung = 0.0
    before = start
    for point in inside:
        here = max(start, logarithm(point.cost))
        area += (best - rung) * (here - before)
        before, best = here, max(best, point.value)
        rung = max(rung, point.value) if point.rung else rung
    return (area + (best - rung) * (end - before)) / (end - start)


def area_with_interval(
    points: Sequence[Point], cheapest: float, budget: float, deviations: Sequence[float], draws: int = 1000, seed: int = 0
) -> Area:
    """U with a parametric bootstrap over the readings: each value is drawn again around what was read.

    Args:
        points: as for `area_above`.
        cheapest: as for `area_above`.
        budget: as for `area_above`.
        deviations: standard error of each point's value.
        draws: of the bootstrap.
        seed: of its random numbers.
    """
    rng = random.Random(seed)
    drawn = sorted(
        area_above(
            [p._replace(value=min(1.0, max(0.0, rng.gauss(p.value, d)))) for p, d in zip(points, deviations, strict=True)],
            cheapest,
            budget,
        )
        for _ in range(draws)
    )
    tail = round(0.025 * draws)
    return Area(area_above(points, cheapest, budget), drawn[tail], drawn[-1 - tail])
