"""How the networks that a search evaluated on a benchmark table are judged, by trainings that the search does not see.

- b: true accuracy of the network that is believed best within the budget, in per cent, as a search believes it that chooses whom
  to confirm. True is the mean of all its trainings; where a table has two, the training that the search did not see, since the
  other one's luck is a part of why it is believed best;
- U: the area between two staircases over the logarithm of cost (cheapest network to budget), accuracy from chance to 1: of all
  networks that were evaluated, by the means of their trainings, and of the static ladder;
- V: the hypervolume of the networks that were evaluated, in the same box.
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
"""Of ten classes."""

BUDGETS = {"nas-bench-macro": ("40MFLOPs", "60MFLOPs", "none"), "dynconv-fmnist": ("0.25MFLOPs", "none")}
GOALS = Goals(of_classes(10)[:1], ("flops",))


@dataclass(frozen=True)
class Yardstick:
    """What the networks of one table are measured against.

    Args:
        table: with their trainings.
        ladder: cost and true accuracy of its uniform static networks, from the cheapest on, which is the cheapest of all.
        dearest: cost of its dearest network.
        unseen: whether b is of the trainings alone that a search did not see.
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
        """How good a search believes the networks of finished trials to be; more is better."""
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
            costs: multiply-adds.
            readings: all trainings of each.
            seen: the training of each that was seen.
            most: multiply-adds that the budget allows.
            believed: how good each is believed to be; what was seen when empty.
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
        """The best accuracy at or below each of many costs, evenly spread in their logarithm; chance where there is none."""
        cheapest = self.ladder[0][0]
        at = cheapest * (most / cheapest) ** ((np.arange(steps) + 0.5) / steps)
        cost, accuracy = (np.array(column) for column in zip(*sorted(points), strict=True))
        best = np.concatenate([[CHANCE], np.maximum.accumulate(accuracy)])
        found: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = best[np.searchsorted(cost, at, "right")]
        return found


def yardstick(table: Table) -> Yardstick:
    """What a table's networks are measured against: its own static networks and prices."""
    space = load_space(table.NAME)
    static = [priced(space, outcome) for outcome in space.uniform_static()]
    ladder = sorted((p.cost["flops"], statistics.fmean(table.readings(p.architecture))) for p in static)
    return Yardstick(table, tuple(ladder), extent(table.NAME)[1], unseen=len(table.readings(static[0].architecture)) == 2)


@cache
def extent(benchmark: str) -> tuple[float, float]:
    """Multiply-adds of the cheapest and of the dearest network."""
    costs = outcomes_of(load_space(benchmark))[1]
    return min(costs), max(costs)


def outcomes_of(space: SearchSpace) -> tuple[list[Decisions], list[float]]:
    """Every outcome of a space that has few, and its multiply-adds."""
    found = {}
    for options in product(*(d.options for d in space.decisions)):
        wanted = dict(zip((d.name for d in space.decisions), options, strict=True))
        outcome = space.decide(lambda name, _, wanted=wanted: wanted[name])  # type: ignore[misc]
        found[tuple(outcome.items())] = outcome
    table, outcomes = SpaceTable(space, ("flops",)), list(found.values())
    return outcomes, table.costs(table.encode(outcomes))[:, 0].tolist()
