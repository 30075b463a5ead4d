"""Dominance, Pareto front and hypervolume. Points are rows to be *minimised*; negate what is maximised."""

from __future__ import annotations

import math
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

Points = Sequence[Sequence[float]]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def front(points: Points) -> list[int]:
    """Indices of the non-dominated points, in their given order; equal points are all kept."""
    if not len(points):
        return []
    keep = moocore.is_nondominated(np.asarray(points, dtype=float), keep_weakly=True)
    return [int(i) for i in np.flatnonzero(keep)]


def ranks(points: Points) -> list[int]:
    """Non-domination rank of each point: 0 on the front, 1 on the front of what is left, and so on."""
    if not len(points):
        return []
    return [int(r) for r in moocore.pareto_rank(np.asarray(points, dtype=float))]


def hypervolume(points: Points, reference: Sequence[float]) -> float:
    """Volume that the points dominate below `reference`; 0 without points."""
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(np.asarray(points, dtype=float), ref=np.asarray(reference, dtype=float)))


def scale(values: Sequence[float], low: float, high: float, log: bool = False) -> NDArray[np.float64]:
    """Maps `low` to 0 and `high` to 1, clipped; on a logarithmic scale when asked, where zero is as in `logarithm`."""
    array = np.clip(np.asarray(values, dtype=float), low, high)
    if log:
        array, low, high = np.array([logarithm(v) for v in array.tolist()]), logarithm(low), logarithm(high)
    scaled: NDArray[np.float64] = np.clip((array - low) / max(high - low, 1e-12), 0.0, 1.0)
    return scaled


def logarithm(cost: float) -> float:
    """The natural logarithm of a cost; nothing at all, which only what is counted in whole units can cost, is as one unit."""
    return math.log(cost) if cost else 0.0
