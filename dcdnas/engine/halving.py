"""Early stopping among networks of like cost: asynchronous successive halving with the price taken out of the readings.

Halfway through, a training goes on when it is in the better half of those that came so far, by what is left of its reading when
the straight line of readings over the logarithm of cost is taken out. By the reading itself the small networks of the front would
end; by non-domination of reading and cost the best network is lost more often than epochs are saved. A network that is judged by
its accuracy is compared by its loss, which ranks better (docs/decisions/stopping-among-like-cost.md).

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

FACTOR = 2
"""The better half of a rung goes on."""

ENOUGH = 6
"""Trainings at a rung below which nothing is stopped: a rank among fewer says little."""

DIGITS = 9
"""Decimals of what is left of a reading; what differs by less is equal on every machine."""


class Halving:
    """Decides at each report whether a training goes on.

    Args:
        epochs: of a full training.
        goals: objectives that trainings are compared by, and the costs that are taken out of them.
        factor: the best 1/factor of a rung go on.
    """

    def __init__(self, epochs: int, goals: Goals, factor: int = FACTOR) -> None:
        self.goals, self.factor = goals, factor
        self.rungs = rungs(epochs)
        self._reached: dict[int, dict[int, tuple[list[float], list[float]]]] = {epoch: {} for epoch in self.rungs}

    def reached(self, number: int, report: EpochResult, cost: Cost) -> bool:
        """Writes down what trial `number` has reported; returns whether that was at a rung."""
        if report.epoch not in self._reached:
            return False
        costs = [logarithm(cost[m], notation(m).least) for m in self.goals.costs]
        self._reached[report.epoch][number] = self.goals.rankings(report), costs
        return True

    def keep(self, number: int, report: EpochResult, cost: Cost) -> bool:
        """Whether trial `number` goes on after what it has reported."""
        if not self.reached(number, report, cost) or len(self._reached[report.epoch]) < ENOUGH:
            return True
        rung = self._reached[report.epoch]
        left = without_cost(*zip(*rung.values(), strict=True))
        rank = dict(zip(rung, ranks(left.tolist()), strict=True))
        better = sum(r < rank[number] for r in rank.values())
        return better < len(rung) / self.factor

    def forget(self, number: int) -> None:
        """Takes out a training that failed or was interrupted: nobody is compared with it any more."""
        for rung in self._reached.values():
            rung.pop(number, None)


def without_cost(readings: ArrayLike, costs: ArrayLike) -> NDArray[np.float64]:
    """What is left of readings (N, objectives) without their straight line over costs (N, metrics); (N, objectives)."""
    values, logs = np.asarray(readings, float), np.asarray(costs, float)
    design = np.column_stack([np.ones(len(values)), logs - logs.mean(0)])
    line = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    left: NDArray[np.float64] = np.round(values - line, DIGITS)
    return left


def rungs(epochs: int) -> tuple[int, ...]:
    """The epochs after which trainings are compared: halfway; none where a training has one epoch."""
    return (epochs // 2,) if epochs > 1 else ()
