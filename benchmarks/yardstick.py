"""Judges the networks that a search evaluated on a benchmark table by trainings that the search does not see.

- b: true accuracy in per cent of the network within the budget that the search believes to be the best, in the same way as a
  search chooses the networks to confirm. The true accuracy is the mean of all its trainings. Where a table has two trainings, it
  is that of the training that the search did not see, because luck in the other one contributes to the belief;
- U: the area between two staircases over the logarithm of cost (from the cheapest network to the budget) and accuracy (from
  chance to 1), counted where the first is above the second: that of all evaluated networks, by the means of their trainings, and
  that of the static ladder;
- V: the hypervolume of the evaluated networks in the same box.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from dcdnas.core.budget import parse_budgets
from dcdnas.core.objective import Goals
from dcdnas.core.pareto import volume
from dcdnas.core.trial import Trial
from dcdnas.cost import notations
from dcdnas.engine.samplers import Search, smoothed
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import priced
from dcdnas.space.pricing.table import SpaceTable
from dcdnas.space.search_space import Decisions, SearchSpace
from dcdnas.tables import Table
from dcdnas.tasks import of_classes

DIGITS = {"b": 2, "U": 3, "V": 3}
CHANCE = 0.1
"""Accuracy of guessing among ten classes."""

BUDGETS = {"nas-bench-macro": ("40MFLOPs", "60MFLOPs", "none"), "dynconv-fmnist": ("0.25MFLOPs", "none")}
GOALS = Goals(of_classes(10)[:1], ("flops",))


@dataclass(frozen=True)
class Yardstick:
    """Judges the networks of one table.

    Args:
        table: benchmark table with the trainings.
        ladder: cost and true accuracy of the table's uniform static networks; the first one is the cheapest network of all.
        dearest: cost of the table's most expensive network.
        unseen: whether b uses only the training that a search did not see.
    """

    table: Table
    ladder: tuple[tuple[float, float], ...]
    dearest: float
    unseen: bool

    def bound(self, budget: str) -> float:
        """The multiply-adds that a budget allows."""
        return self.dearest if budget == "none" else parse_budgets([budget], notations())[0].at_most

    def judged(self, trials: Sequence[Trial], most: float) -> dict[str, float]:
        """b, U and V of the networks that a search evaluated."""
        readings = [self.table.readings(trial.architecture) for trial in trials]
        seen = [GOALS.gain(trial) for trial in trials]
        return self.judge([t.cost["flops"] for t in trials], readings, seen, most, self.believed(trials))

    def believed(self, trials: Sequence[Trial]) -> list[float]:
        """A search's estimates of the quality of the networks of finished trials; higher is better."""
        found: list[float] = smoothed(Search(load_space(self.table.NAME), (), GOALS), trials).tolist()
        return found

    def judge(
        self,
        costs: Sequence[float],
        readings: Sequence[Sequence[float]],
        seen: Sequence[float],
        most: float,
        believed: Sequence[float] = (),
    ) -> dict[str, float]:
        """b, U and V of networks in the order of their evaluation.

        Args:
            costs: multiply-adds of each network.
            readings: accuracies of all trainings of each network.
            seen: accuracy of the training that the search saw of each network.
            most: multiply-adds that the budget allows.
            believed: estimated quality of each network; if empty, `seen` is used.
        """
        if not costs:
            return {"b": 100 * CHANCE, "U": 0.0, "V": 0.0}
        true = [statistics.fmean(found) for found in readings]
        by = believed or seen
        looked = max(range(len(costs)), key=lambda i: (by[i], -i))
        others = [reading for reading in readings[looked] if reading != seen[looked]] if self.unseen else []
        mine, ladder = self.staircase(list(zip(costs, true, strict=True)), most), self.staircase(self.ladder, most)
        area = float(np.maximum(mine - ladder, 0).mean() / (1 - CHANCE))
        return {
            "b": round(100 * (statistics.fmean(others) if others else true[looked]), 4),
            "U": round(area, 6),
            "V": round(self._volume(costs, true, most), 6),
        }

    def _volume(self, costs: Sequence[float], true: Sequence[float], most: float) -> float:
        cheapest = self.ladder[0][0]
        front = [
            [1 - (a - CHANCE) / (1 - CHANCE), np.log(c / cheapest) / np.log(most / cheapest)]
            for c, a in zip(costs, true, strict=True)
        ]
        return volume(front, [1.0, 1.0])

    def staircase(
        self, points: Sequence[tuple[float, float]], most: float, steps: int = 4000
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Best accuracy at or below each of `steps` costs, evenly spaced in their logarithm; chance if there is none."""
        cheapest = self.ladder[0][0]
        at = cheapest * (most / cheapest) ** ((np.arange(steps) + 0.5) / steps)
        cost, accuracy = (np.array(column) for column in zip(*sorted(points), strict=True))
        best = np.concatenate([[CHANCE], np.maximum.accumulate(accuracy)])
        found: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = best[np.searchsorted(cost, at, "right")]
        return found


def yardstick(table: Table) -> Yardstick:
    """Builds the yardstick of a table from its own static networks and prices."""
    space = load_space(table.NAME)
    static = [priced(space, outcome) for outcome in space.uniform_static()]
    ladder = sorted((p.cost["flops"], statistics.fmean(table.readings(p.architecture))) for p in static)
    return Yardstick(table, tuple(ladder), extent(table.NAME)[1], unseen=len(table.readings(static[0].architecture)) == 2)


@cache
def extent(benchmark: str) -> tuple[float, float]:
    """Multiply-adds of the cheapest and of the most expensive network of a benchmark table."""
    costs = outcomes_of(load_space(benchmark))[1]
    return min(costs), max(costs)


def outcomes_of(space: SearchSpace) -> tuple[list[Decisions], list[float]]:
    """Every outcome of a space small enough to be enumerated, and its multiply-adds."""
    found = {}
    for options in product(*(d.options for d in space.decisions)):
        wanted = dict(zip((d.name for d in space.decisions), options, strict=True))
        outcome = space.decide(lambda name, _, wanted=wanted: wanted[name])  # type: ignore[misc]
        found[tuple(outcome.items())] = outcome
    table, outcomes = SpaceTable(space, ("flops",)), list(found.values())
    return outcomes, table.costs(table.encode(outcomes))[:, 0].tolist()
