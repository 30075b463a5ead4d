"""Fits the correction that predicts a network's time from its slots' times, and estimates its error.

Between the slots of a network there are sums, pooling and calls, and each slot finds in the caches what the previous one left.
Therefore the time of a network is predicted as ``factor * sum of its slots + per_slot * number of its slots``, which is still a
sum over slots. Both numbers are at least 0 and minimise the squared relative error on networks that were measured as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.rank_correlation import kendall_tau

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Whole:
    """A network that was measured as a whole.

    Args:
        slots: sum of the nanoseconds of its slots.
        count: number of its slots.
        measured: nanoseconds of the whole network.
    """

    slots: float
    count: int
    measured: float


@dataclass(frozen=True)
class Correction:
    """The correction that turns a sum over slots into the time of a network.

    Args:
        factor: by which each slot's time is multiplied.
        per_slot: nanoseconds that are added for each slot.
        space: name of the space whose networks it was fitted on; empty for none.
        networks: number of networks that it was fitted on.
        error: mean absolute percentage error, each network predicted by a fit to the others; None where it is unknown.
        order: Kendall's tau between these predictions and the measurements; None where it is unknown.
    """

    factor: float = 1.0
    per_slot: float = 0.0
    space: str = ""
    networks: int = 0
    error: float | None = None
    order: float | None = None

    def of(self, slots: float, count: int = 1) -> float:
        """Predicts the nanoseconds of `count` slots whose times, measured alone, add up to `slots`."""
        return self.factor * slots + self.per_slot * count


LEAST = 3
"""Minimum number of networks for a fit."""


def corrected(wholes: Sequence[Whole], space: str) -> Correction:
    """Fits the correction for a space, and estimates its error on networks that it was not fitted on."""
    found = _fit(wholes)
    others = [_fit([w for w in wholes if w is not whole]) for whole in wholes]
    predicted = [c.of(w.slots, w.count) for c, w in zip(others, wholes, strict=True)]
    measured = [w.measured for w in wholes]
    error, order = percentage_error(predicted, measured), kendall_tau(predicted, measured)
    return Correction(found.factor, found.per_slot, space, len(wholes), error, order)


def percentage_error(predicted: Sequence[float], measured: Sequence[float]) -> float:
    """Mean absolute percentage error, as a fraction."""
    return float(np.mean(np.abs(np.array(predicted) / np.array(measured) - 1)))


def _fit(wholes: Sequence[Whole]) -> Correction:
    """Least-squares fit of the relative errors, with both numbers at least 0."""
    rows = np.array([[w.slots, w.count] for w in wholes], float) / np.array([[w.measured] for w in wholes], float)
    factor, per_slot = np.linalg.lstsq(rows, np.ones(len(rows)), rcond=None)[0]
    if per_slot < 0:
        factor, per_slot = _alone(rows[:, 0]), 0.0
    elif factor < 0:
        factor, per_slot = 0.0, _alone(rows[:, 1])
    return Correction(float(factor), float(per_slot))


def _alone(column: Floats) -> float:
    return float(column.sum() / (column * column).sum())
