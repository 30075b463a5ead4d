"""Early stopping for several objectives: asynchronous successive halving by non-domination rank.

At each rung a training goes on when it is among the best 1/factor of all that reached the rung, ranked by non-domination of
(objectives there, cost). Ranking by one objective alone, as single-objective halving does, kills the small networks of the front.

Reference: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA), MLSys 2020; the multi-objective form
follows Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021.
"""

from __future__ import annotations

from dcdnas.core.geometry import Cost
from dcdnas.core.objective import Goals
from dcdnas.core.pareto import logarithm, ranks
from dcdnas.core.trial import EpochResult
from dcdnas.core.units import notation

FACTOR = 3
"""The best third of a rung go on."""

ENOUGH = 6
"""Trainings at a rung below which nothing is stopped: a rank among fewer says little."""


class Halving:
    """Decides at each report whether a training goes on.

    Args:
        epochs: of a full training.
        goals: what trainings are ranked by.
        factor: the best 1/factor of a rung go on.
    """

    def __init__(self, epochs: int, goals: Goals, factor: int = FACTOR) -> None:
        self.goals, self.factor = goals, factor
        self.rungs = rungs(epochs, factor)
        self._reached: dict[int, dict[int, tuple[float, ...]]] = {epoch: {} for epoch in self.rungs}

    def reached(self, number: int, report: EpochResult, cost: Cost) -> bool:
        """Writes down what trial `number` has reported; returns whether that was at a rung."""
        if report.epoch not in self._reached:
            return False
        costs = (logarithm(cost[m], notation(m).least) for m in self.goals.costs)
        self._reached[report.epoch][number] = (*self.goals.losses(report), *costs)
        return True

    def keep(self, number: int, report: EpochResult, cost: Cost) -> bool:
        """Whether trial `number` goes on after what it has reported."""
        if not self.reached(number, report, cost) or len(self._reached[report.epoch]) < ENOUGH:
            return True
        rung = self._reached[report.epoch]
        rank = dict(zip(rung, ranks(list(rung.values())), strict=True))
        better = sum(r < rank[number] for r in rank.values())
        return better < len(rung) / self.factor

    def forget(self, number: int) -> None:
        """Takes out a training that failed or was interrupted: nobody is compared with it any more."""
        for rung in self._reached.values():
            rung.pop(number, None)


def rungs(epochs: int, factor: int = FACTOR) -> tuple[int, ...]:
    """The epochs after which trainings are compared: from a ninth of the whole on, each `factor` times the one before."""
    found, rung = [], max(1, epochs // factor**2)
    while rung < epochs:
        found.append(rung)
        rung *= factor
    return tuple(found)
