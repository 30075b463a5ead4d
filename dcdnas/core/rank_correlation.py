"""How far two orders of the same things agree."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

DRAWS = 1000
"""Resamplings of a bootstrap interval."""


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b of two orders, -1 to 1; 0 where one of them has no order."""
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (np.array(a, float), np.array(b, float)))
    both = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / both if both else 0.0


def kendall_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of Kendall's tau over what is ordered; the same for the same values."""
    rng, pairs = random.Random(0), list(zip(a, b, strict=True))
    taus = sorted(kendall_tau(*zip(*rng.choices(pairs, k=len(pairs)), strict=True)) for _ in range(DRAWS))
    return taus[round(0.025 * DRAWS)], taus[round(0.975 * DRAWS) - 1]
