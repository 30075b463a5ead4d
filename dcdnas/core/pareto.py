"""Dominance, Pareto fronts and hypervolume: of points, which are rows to be *minimised*, and of the trials of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from dcdnas.core.budget import Budget, within
from dcdnas.core.trial import Trial
from dcdnas.core.units import notation

Points = Sequence[Sequence[float]]

Bounds = Mapping[str, tuple[float, float]]
"""Worst and best of each objective, fixed when the run starts: ``accuracy`` and the minimised cost metrics."""


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def nondominated(points: Points) -> list[int]:
    """Indices of the non-dominated points, in their given order; equal points are all kept."""
    if not len(points):
        return []
    keep = moocore.is_nondominated(np.asarray(points, dtype=float), keep_weakly=True)
    return [int(i) for i in np.flatnonzero(keep)]


def ranks(points: Points) -> list[int]:
    """Non-domination rank of each point: 0 on the front, 1 on the front of what is left, and so on."""
    if not len(points):
        return []
    return [int(r) for r in moocore.pareto_rank(np.asarray(points, dtype=float))]


def volume(points: Points, reference: Sequence[float]) -> float:
    """Volume that the points dominate below `reference`; 0 without points."""
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(np.asarray(points, dtype=float), ref=np.asarray(reference, dtype=float)))


def scale(values: Sequence[float], low: float, high: float, log: bool = False, least: float = 1.0) -> NDArray[np.float64]:
    """Maps `low` to 0 and `high` to 1, clipped; on a logarithmic scale when asked, where zero is as in `logarithm`."""
    array = np.clip(np.asarray(values, dtype=float), low, high)
    if log:
        array = np.array([logarithm(v, least) for v in array.tolist()])
        low, high = logarithm(low, least), logarithm(high, least)
    scaled: NDArray[np.float64] = np.clip((array - low) / max(high - low, 1e-12), 0.0, 1.0)
    return scaled


def logarithm(cost: float, least: float = 1.0) -> float:
    """The natural logarithm of a cost; nothing at all counts as `least`, see `Notation.least`."""
    return math.log(cost or least)


def candidates(trials: Sequence[Trial], budgets: Sequence[Budget]) -> list[Trial]:
    """The trials that may be on the front: trained to the end and within all budgets, and the first of those of one network."""
    found = [t for t in trials if t.state == "finished" and t.score is not None and within(t.cost, budgets)]
    first: dict[str | int, Trial] = {}
    for trial in found:
        first.setdefault(network_of(trial), trial)
    return list(first.values())


def network_of(trial: Trial) -> str | int:
    """What two trials of one network have in common: its identity; the trial's number where nobody has worked that out."""
    return trial.deployed or trial.number


def front(trials: Sequence[Trial], budgets: Sequence[Budget], minimize: Sequence[str]) -> list[Trial]:
    """The non-dominated finished trials within the budgets, from the cheapest to the dearest."""
    found = candidates(trials, budgets)
    points = [_point(t, minimize) for t in found]
    on_front = [found[i] for i in nondominated(points)]
    return sorted(on_front, key=lambda t: (*(t.cost[m] for m in minimize), -_accuracy(t), t.number))


def best(trials: Sequence[Trial], budgets: Sequence[Budget]) -> Trial | None:
    """The most accurate finished trial within the budgets, the cheaper of equal ones; of one training each, so unconfirmed."""
    return max(
        candidates(trials, budgets), key=lambda t: (_accuracy(t), *(-v for v in t.cost.values.values()), -t.number), default=None
    )


def to_confirm(trials: Sequence[Trial], budgets: Sequence[Budget], minimize: Sequence[str], top: int) -> list[Trial]:
    """The trials to train again on fresh seeds: the `top` most accurate of the front, and the static reference."""
    chosen = sorted(front(trials, budgets, minimize), key=lambda t: -_accuracy(t))[:top]
    taken = {network_of(t) for t in chosen}
    return chosen + [t for t in trials if t.origin == "static" and t.state == "finished" and network_of(t) not in taken]


def knee(trials: Sequence[Trial], budgets: Sequence[Budget], minimize: Sequence[str]) -> Trial | None:
    """The trial of the front farthest above the straight line between its ends, on log cost."""
    line = front(trials, budgets, minimize)
    if len(line) < 3 or not minimize:
        return line[-1] if line else None
    values, least = [t.cost[minimize[0]] for t in line], notation(minimize[0]).least
    costs = scale(values, values[0], values[-1], log=True, least=least)
    low, high = _accuracy(line[0]), _accuracy(line[-1])
    gain = [(_accuracy(t) - low) / max(high - low, 1e-12) - c for t, c in zip(line, costs, strict=True)]
    return line[gain.index(max(gain))]


def hypervolume(trials: Sequence[Trial], budgets: Sequence[Budget], bounds: Bounds) -> float:
    """The share of the box between the bounds that the front dominates, 0-1; cost on a logarithmic scale."""
    points = []
    metrics = [m for m in bounds if m != "accuracy"]
    for t in candidates(trials, budgets):
        accuracy = scale([_accuracy(t)], *bounds["accuracy"])[0]
        points.append(
            [1 - accuracy, *(float(scale([t.cost[m]], *bounds[m], log=True, least=notation(m).least)[0]) for m in metrics)]
        )
    return volume(points, [1.0] * (1 + len(metrics)))


def _point(trial: Trial, minimize: Sequence[str]) -> list[float]:
    return [-_accuracy(trial), *(trial.cost[m] for m in minimize)]


def _accuracy(trial: Trial) -> float:
    return trial.score.accuracy if trial.score else -math.inf
