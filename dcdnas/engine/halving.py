"""Early stopping among networks of like cost, after a short training: asynchronous successive halving with the price taken out.

The first eighth of the epochs is a training of its own, on a whole schedule. Then a network is trained afresh for the rest when
it is in the better quarter of those that came so far, by what is left of its reading when the straight line of readings over the
logarithm of cost is taken out. By the reading itself the small networks of the front would end; by non-domination of reading and
cost the best network is lost more often than epochs are saved. A long training that is cut ranks networks worse than a short one
that has ended (docs/decisions/stopping-among-like-cost.md).

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
"""The better quarter of those at the rung goes on."""

SHARE = 8
"""The short training is one of so many parts of the epochs."""

ENOUGH = 6
"""Trainings at a rung below which nothing is stopped: a rank among fewer says little."""

DIGITS = 9
"""Decimals of what is left of a reading; what differs by less is equal on every machine."""


class Halving:
    """Decides at each report whether a training goes on.

    Args:
        rung: epoch after which trainings are compared, the end of the short ones; 0 for never.
        goals: objectives that trainings are compared by, and the costs that are taken out of them.
        factor: the best 1/factor of a rung go on.
    """

    def __init__(self, rung: int, goals: Goals, factor: int = FACTOR) -> None:
        self.rung, self.goals, self.factor = rung, goals, factor
        self._reached: dict[int, tuple[list[float], list[float]]] = {}

    def reached(self, number: int, report: EpochResult, cost: Cost) -> bool:
        """Writes down what trial `number` has reported; returns whether that was at a rung."""
        if report.epoch != self.rung:
            return False
        costs = [logarithm(cost[m], notation(m).least) for m in self.goals.costs]
        self._reached[number] = self.goals.rankings(report), costs
        return True

    def keep(self, number: int, report: EpochResult, cost: Cost) -> bool:
        """Whether trial `number` goes on after what it has reported."""
        if not self.reached(number, report, cost) or len(self._reached) < ENOUGH:
            return True
        left = without_cost(*zip(*self._reached.values(), strict=True))
        rank = dict(zip(self._reached, ranks(left.tolist()), strict=True))
        better = sum(r < rank[number] for r in rank.values())
        return better < len(rank) / self.factor

    def forget(self, number: int) -> None:
        """Takes out a training that failed or was interrupted: nobody is compared with it any more."""
        self._reached.pop(number, None)


def without_cost(readings: ArrayLike, costs: ArrayLike) -> NDArray[np.float64]:
    """What is left of readings (N, objectives) without their straight line over costs (N, metrics); (N, objectives)."""
    values, logs = np.asarray(readings, float), np.asarray(costs, float)
    design = np.column_stack([np.ones(len(values)), logs - logs.mean(0)])
    line = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    left: NDArray[np.float64] = np.round(values - line, DIGITS)
    return left


def scan_of(epochs: int) -> int:
    """How many of the epochs of a training are the short one; 0 where a training has one epoch."""
    return max(1, epochs // SHARE) if epochs > 1 else 0
