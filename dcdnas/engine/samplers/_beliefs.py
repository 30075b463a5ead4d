"""What a model believes of a search: of the networks that are known, of those in training, and of any candidate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dcdnas.core.pareto import nondominated
from dcdnas.engine.samplers._features import Features
from dcdnas.engine.samplers._gp import Process
from dcdnas.engine.samplers._improvement import expected_improvement, expected_volume
from dcdnas.engine.samplers._pool import Floats


@dataclass(frozen=True)
class Beliefs:
    """Compares candidates with what is known.

    Args:
        processes: one an objective, each with its weight.
        known: features of the networks that have ended or are in training.
        cost: their scaled costs, (networks, costs).
        floor: worth from which the hypervolume is counted.
    """

    processes: tuple[tuple[float, Process], ...]
    known: Features
    cost: Floats
    floor: float

    @cached_property
    def worth(self) -> Floats:
        """What the known networks are believed to reach, the objectives added up by their weights; more is better."""
        return self.believed(self.known)[0]

    def believed(self, features: Features) -> tuple[Floats, Floats]:
        """Mean and standard deviation of what networks reach."""
        mean, variance = np.zeros(len(features)), np.zeros(len(features))
        for weight, process in self.processes:
            value, deviation = process.predict(features)
            mean, variance = mean + weight * value, variance + (weight * deviation) ** 2
        return mean, np.sqrt(variance)

    @cached_property
    def front(self) -> list[int]:
        """The known networks that none is believed to dominate."""
        return nondominated(np.column_stack([-self.worth, self.cost]).tolist())

    def for_the_best(self, features: Features) -> Floats:
        """By how much candidates are expected to be above the best."""
        return expected_improvement(*self.believed(features), self.worth.max())

    def for_the_front(self, features: Features, cost: Floats) -> Floats:
        """How much hypervolume candidates are expected to add."""
        heights = self.worth[self.front]
        return expected_volume(cost, *self.believed(features), self.cost[self.front], heights, self.floor)
