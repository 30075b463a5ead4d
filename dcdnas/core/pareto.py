"""Dominance, Pareto fronts and hypervolume of points (rows whose values are *minimised*) and of the trials of a search."""

from __future__ import annotations

import math
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from dcdnas.core.budget import Budget, within
from dcdnas.core.objective import Bounds, Goals
from dcdnas.core.trial import Trial
from dcdnas.core.units import notation

Points = Sequence[Sequence[float]]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better."""
    better = False
    for x, y in zip(a, b, strict=True):
        if not x <= y:
            return False
        better = better or x < y
    return better


def nondominated(points: Points) -> list[int]:
    """Indices of the non-dominated points, in their given order; equal points are all kept."""
    if not len(points):
        return []
    keep = moocore.is_nondominated(np.asarray(points, dtype=float), keep_weakly=True)
    return [int(i) for i in np.flatnonzero(keep)]


def ranks(points: Points) -> list[int]:
    """Non-domination rank of each point: 0 on the front, 1 on the front of the remaining points, and so on."""
    if not len(points):
        return []
    return [int(r) for r in moocore.pareto_rank(np.asarray(points, dtype=float))]


def volume(points: Points, reference: Sequence[float]) -> float:
    """Hypervolume that the points dominate, bounded by the point `reference`; 0 without points."""
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(np.asarray(points, dtype=float), ref=np.asarray(reference, dtype=float)))


def scale(values: Sequence[float], low: float, high: float, log: bool = False, least: float = 1.0) -> NDArray[np.float64]:
    """Scales values so that `low` is 0 and `high` is 1, clipped; with `log` on the logarithmic scale of `logarithm`."""
    array = np.clip(np.asarray(values, dtype=float), low, high)
    if log:
        array = np.array([logarithm(v, least) for v in array.tolist()])
        low, high = logarithm(low, least), logarithm(high, least)
    scaled: NDArray[np.float64] = np.clip((array - low) / max(high - low, 1e-12), 0.0, 1.0)
    return scaled


def logarithm(cost: float, least: float = 1.0) -> float:
    """The natural logarithm of a cost; a cost of 0 counts as `least`, see `Notation.least`."""
    return math.log(cost or least)


def candidates(trials: Sequence[Trial], budgets: Sequence[Budget]) -> list[Trial]:
    """The trials that may be on the front: finished and within all budgets, and only the first trial of each network."""
    found = [t for t in trials if t.state == "finished" and t.score is not None and within(t.cost, budgets)]
    first: dict[str | int, Trial] = {}
    for trial in found:
        first.setdefault(network_of(trial), trial)
    return list(first.values())


def network_of(trial: Trial) -> str | int:
    """The identity of a trial's network, which equals that of its duplicates; the trial's number where it is unknown."""
    return trial.deployed or trial.number


def front(trials: Sequence[Trial], budgets: Sequence[Budget], goals: Goals) -> list[Trial]:
    """The non-dominated finished trials within the budgets, from the cheapest to the most expensive."""
    found = candidates(trials, budgets)
    points = [goals.point(t) for t in found]
    return sorted((found[i] for i in nondominated(points)), key=lambda t: _place(t, goals))


def _place(trial: Trial, goals: Goals) -> tuple[float, ...]:
    """Sort key of a trial on a front: its costs, then its objective, best first."""
    return (*(trial.cost[m] for m in goals.costs), -goals.gain(trial), trial.number)


class Front:
    """Incrementally updated front, always equal to `front` of all trials so far.

    Args:
        budgets: the budgets that a trial on the front has to meet.
        goals: objectives and costs that span the front.
    """

    def __init__(self, budgets: Sequence[Budget], goals: Goals) -> None:
        self.budgets, self.goals = budgets, goals
        self.trials: tuple[Trial, ...] = ()
        self._points: dict[int, list[float]] = {}
        self._first: dict[str | int, int] = {}

    def put(self, trial: Trial) -> bool:
        """Adds a trial, or the same trial with the same result again; returns whether it is on the front."""
        if not candidates([trial], self.budgets) or self._first.setdefault(network_of(trial), trial.number) != trial.number:
            return False
        point = self.goals.point(trial)
        others = [t for t in self.trials if t.number != trial.number]
        if any(dominates(self._points[t.number], point) for t in others):
            return False
        kept = [t for t in others if not dominates(point, self._points[t.number])]
        self.trials = tuple(sorted((*kept, trial), key=lambda t: _place(t, self.goals)))
        self._points = {**{t.number: self._points[t.number] for t in kept}, trial.number: point}
        return True


def best(trials: Sequence[Trial], budgets: Sequence[Budget], goals: Goals) -> Trial | None:
    """The finished trial within the budgets with the best primary objective, the cheaper of equal ones.

    Each value comes from one training, so the result is not confirmed.
    """
    found = candidates(trials, budgets)
    return min(found, key=lambda t: preference(goals.gain(t), t, goals), default=None)


def preference(gain: float, trial: Trial, goals: Goals) -> tuple[float, ...]:
    """Sort key of trials, the best first; of equally good ones the cheaper comes first, and of those the one asked first.

    Args:
        gain: the trial's primary objective, larger is better, from one training or as a mean; equal to 12 digits is equal,
            because the means of different values may differ by rounding alone.
        trial: the trial. The costs that are goals are compared first, so that the best network is on the front, then all costs
            in the order in which it was priced.
        goals: of the search.
    """
    minimised = [trial.cost[metric] for metric in goals.costs]
    return (-float(f"{gain:.12g}"), *minimised, *trial.cost.values.values(), trial.number)


def knee(trials: Sequence[Trial], budgets: Sequence[Budget], goals: Goals) -> Trial | None:
    """The knee of the front: the trial farthest above the straight line between the front's ends, on log cost."""
    line = front(trials, budgets, goals)
    if len(line) < 3 or not goals.costs:
        return line[-1] if line else None
    values, least = [t.cost[goals.costs[0]] for t in line], notation(goals.costs[0]).least
    costs = scale(values, values[0], values[-1], log=True, least=least)
    low, high = goals.gain(line[0]), goals.gain(line[-1])
    gain = [(goals.gain(t) - low) / max(high - low, 1e-12) - c for t, c in zip(line, costs, strict=True)]
    return line[gain.index(max(gain))]


def hypervolume(trials: Sequence[Trial], budgets: Sequence[Budget], goals: Goals, bounds: Bounds) -> float:
    """Hypervolume: the share, 0-1, of the box between the bounds that the front dominates, with costs on a logarithmic scale."""
    objectives, costs = goals.within(bounds).objectives, [m for m in goals.costs if m in bounds]

    def point(t: Trial) -> list[float]:
        cheap = (float(scale([t.cost[m]], *bounds[m], log=True, least=notation(m).least)[0]) for m in costs)
        return [*(1 - o.scaled(o.of(t.score)) for o in objectives), *cheap]

    return volume([point(t) for t in candidates(trials, budgets)], [1.0] * (len(objectives) + len(costs)))
