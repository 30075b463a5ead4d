"""Early stopping for several objectives: asynchronous successive halving by non-domination rank.

At each rung a training goes on when it is among the best 1/factor of all that reached the rung, ranked by non-domination of
(accuracy there, cost). Ranking by accuracy alone, as single-objective halving does, kills the small networks of the front.

Reference: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA), MLSys 2020; the multi-objective form
follows Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

from dcdnas.core.geometry import Cost
from dcdnas.core.pareto import logarithm, ranks
from dcdnas.core.units import notation

FACTOR = 3
"""The best third of a rung go on."""

ENOUGH = 6
"""Trainings at a rung below which nothing is stopped: a rank among fewer says little."""


class Halving:
    """Decides at each report whether a training goes on.

    Args:
        epochs: of a full training.
        minimize: cost metrics that are objectives.
        factor: the best 1/factor of a rung go on.
    """

    def __init__(self, epochs: int, minimize: Sequence[str], factor: int = FACTOR) -> None:
        self.minimize, self.factor = minimize, factor
        self.rungs = rungs(epochs, factor)
        self._reached: dict[int, dict[int, tuple[float, ...]]] = {epoch: {} for epoch in self.rungs}

    def reached(self, number: int, epoch: int, accuracy: float, cost: Cost) -> bool:
        """Writes down what trial `number` has at `epoch`; returns whether that is a rung."""
        if epoch not in self._reached:
            return False
        self._reached[epoch][number] = (-accuracy, *(logarithm(cost[m], notation(m).least) for m in self.minimize))
        return True

    def keep(self, number: int, epoch: int, accuracy: float, cost: Cost) -> bool:
        """Whether trial `number` goes on after `epoch` with this accuracy."""
        if not self.reached(number, epoch, accuracy, cost) or len(self._reached[epoch]) < ENOUGH:
            return True
        rung = self._reached[epoch]
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
