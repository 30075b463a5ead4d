"""Rank correlation: Kendall's tau between two orders of the same items."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

DRAWS = 1000
"""Number of resamples of a bootstrap interval."""


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b between two orders, -1 to 1; 0 where all values of one of them are equal."""
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (np.array(a, float), np.array(b, float)))
    both = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / both if both else 0.0


def kendall_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of Kendall's tau over the items; deterministic, because the seed is fixed."""
    rng, pairs = random.Random(0), list(zip(a, b, strict=True))
    taus = sorted(kendall_tau(*zip(*rng.choices(pairs, k=len(pairs)), strict=True)) for _ in range(DRAWS))
    return taus[round(0.025 * DRAWS)], taus[round(0.975 * DRAWS) - 1]
