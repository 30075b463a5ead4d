"""The model's predictions: for the known networks, for those in training, and for any candidate."""

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
    """Compares candidates with the known networks by the acquisition functions.

    Args:
        processes: one Gaussian process per objective, each with its weight.
        known: features of the networks that have ended or are in training.
        cost: their scaled costs, (networks, costs).
        floor: worth above which the hypervolume is counted.
    """

    processes: tuple[tuple[float, Process], ...]
    known: Features
    cost: Floats
    floor: float

    @cached_property
    def worth(self) -> Floats:
        """Predicted worth of the known networks: the weighted sum of the objectives; more is better."""
        return self.believed(self.known)[0]

    def believed(self, features: Features) -> tuple[Floats, Floats]:
        """Predicted mean and standard deviation of the networks' worth."""
        mean, variance = np.zeros(len(features)), np.zeros(len(features))
        for weight, process in self.processes:
            value, deviation = process.predict(features)
            mean, variance = mean + weight * value, variance + (weight * deviation) ** 2
        return mean, np.sqrt(variance)

    @cached_property
    def front(self) -> list[int]:
        """Indices of the known networks on the predicted Pareto front of worth and costs."""
        return nondominated(np.column_stack([-self.worth, self.cost]).tolist())

    def for_the_best(self, features: Features) -> Floats:
        """Expected improvement of candidates over the best known network."""
        return expected_improvement(*self.believed(features), self.worth.max())

    def for_the_front(self, features: Features, cost: Floats) -> Floats:
        """Expected hypervolume improvement of candidates over the predicted front."""
        heights = self.worth[self.front]
        return expected_volume(cost, *self.believed(features), self.cost[self.front], heights, self.floor)
