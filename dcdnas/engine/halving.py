"""Early stopping among networks of similar cost after a short training: asynchronous successive halving, corrected for cost.

The first eighth of the epochs is a separate short training with a complete learning-rate schedule. A network is then trained
afresh for the remaining epochs only if it is in the best quarter of the networks so far. They are ranked by the residual of the
reading after a linear regression on the logarithm of the cost. Ranking by the reading itself would stop the small networks of the
front, and ranking by non-domination of reading and cost would lose the best network more often than it saves epochs. A truncated
long training ranks networks worse than a completed short one (docs/decisions/stopping-among-like-cost.md).

Reference: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA), MLSys 2020.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcdnas.core.geometry import Cost
from dcdnas.core.objective import Goals
from dcdnas.core.pareto import logarithm, ranks
from dcdnas.core.trial import EpochResult
from dcdnas.core.units import notation

FACTOR = 4
"""The best 1 / `FACTOR` of the trials at the rung continue."""

SHARE = 8
"""The short training takes 1 / `SHARE` of the epochs."""

ENOUGH = 6
"""Number of trials at a rung below which none is stopped, because a rank among fewer says little."""

FAR = 8
"""Number of median absolute deviations from the median beyond which a reading is an outlier; of normal readings none is."""

DIGITS = 9
"""Decimals to which residuals are rounded, so that smaller differences count as equal on every machine."""


class Halving:
    """Decides at each report whether a training continues.

    Args:
        rung: epoch after which trials are compared, which is the end of the short training; 0 for never.
        goals: objectives by which trials are compared, and the costs whose effect is removed from them.
        factor: the best 1 / `factor` of the trials at the rung continue.
    """

    def __init__(self, rung: int, goals: Goals, factor: int = FACTOR) -> None:
        self.rung, self.goals, self.factor = rung, goals, factor
        self._reached: dict[int, tuple[list[float], list[float]]] = {}

    def reached(self, number: int, report: EpochResult, cost: Cost) -> bool:
        """Records a report of trial `number`; returns whether it was made at the rung."""
        if report.epoch != self.rung:
            return False
        costs = [logarithm(cost[m], notation(m).least) for m in self.goals.costs]
        self._reached[number] = self.goals.rankings(report), costs
        return True

    def keep(self, number: int, report: EpochResult, cost: Cost) -> bool:
        """Records a report of trial `number`; returns whether the trial continues."""
        if not self.reached(number, report, cost) or len(self._reached) < ENOUGH:
            return True
        left = without_cost(*zip(*self._reached.values(), strict=True))
        rank = dict(zip(self._reached, ranks(left.tolist()), strict=True))
        better = sum(r < rank[number] for r in rank.values())
        return better < len(rank) / self.factor

    def forget(self, number: int) -> None:
        """Removes a trial that failed or was interrupted, so that no other one is compared with it."""
        self._reached.pop(number, None)


def without_cost(readings: ArrayLike, costs: ArrayLike) -> NDArray[np.float64]:
    """Residuals of readings (N, objectives) after a linear regression on logarithmic costs (N, metrics); (N, objectives).

    For the regression, readings farther from the median than `FAR` median absolute deviations count as if they were that far,
    because a single network that learned nothing would tilt the line for all others.
    """
    values, logs = np.asarray(readings, float), np.asarray(costs, float)
    middle = np.median(values, 0)
    far = FAR * np.median(np.abs(values - middle), 0)
    near = np.where(far > 0, np.clip(values, middle - far, middle + far), values)
    design = np.column_stack([np.ones(len(values)), logs - logs.mean(0)])
    line = design @ np.linalg.lstsq(design, near, rcond=None)[0]
    left: NDArray[np.float64] = np.round(values - line, DIGITS)
    return left


def scan_of(epochs: int) -> int:
    """Number of epochs of the short training; 0 when a training has only one epoch."""
    return max(1, epochs // SHARE) if epochs > 1 else 0
