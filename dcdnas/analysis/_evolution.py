"""How the attentions of a layer evolve over a training: a word and two numbers, from the modes that their spreads share.

Readings that are few or noisy say little. A pattern is only named where the modes explain more than half of what changes in the
spreads, and more of it than of the same readings in any of 39 random orders, so that of layers whose readings are noise at most
one in 40 is said to have a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcdnas.analysis._modes import Modes, modes
from dcdnas.core.dynamics import Course, Evolution, LayerCourse, Reading
from dcdnas.errors import UsageError

LEAST_READINGS = 12
"""Fewer are not told from noise."""

LEAST_CHANGE = 1e-3
"""Between the least and the largest value of a curve that changes."""

LEAST_EXPLAINED = 0.5
"""Share of what changes, for a pattern to be named."""

LEAST_LATE = 0.15
"""Of what changes, in the last quarter of the readings, for a change to go on; of a straight line it is a quarter."""

ORDERS = 39
"""Random orders of the readings that must all be explained less well."""

MOST_DELAYS = 16
"""Readings over which modes are looked for, so that a long training takes no longer."""

LEVEL = 1e4
"""Size of the constant sequence that makes a level one of the modes; the curves have a standard deviation of 1."""

Curves = Sequence[NDArray[np.float64]]


def evolution(curves: Sequence[ArrayLike], epochs: float = 1.0) -> Evolution:
    """How curves evolve, by the modes that they share.

    A level and one or two modes more are fitted to all curves at once, each in units of its own standard deviation. The mode that
    changes the most is named: an oscillation where three periods are within the readings, a settling where three half-lives are
    (an eighth is left), or where most curves hardly go on in the end.

    Args:
        curves: each (t,), of one length and evenly spaced.
        epochs: between two readings.

    Raises:
        UsageError: for curves of different lengths, or with values that are not finite.
    """
    given = [np.asarray(curve, np.float64) for curve in curves]
    readings = len(given[0]) if given else 0
    if any(x.shape != (readings,) or not np.isfinite(x).all() for x in given):
        raise UsageError("the curves do not fit together. Give finite ones of one length, each (readings,).")
    if readings < LEAST_READINGS:
        return Evolution("short", readings)
    changing = [(x - x.mean()) / x.std() for x in given if np.ptp(x) >= LEAST_CHANGE]
    if not changing:
        return Evolution("steady", readings)
    found, explained = max((_fitted(changing, order) for order in (2, 3)), key=lambda fit: _worth(fit[0], fit[1], changing))
    if explained <= LEAST_EXPLAINED or not _more_than_by_chance(explained, changing):
        return Evolution("unclear", readings)
    half_life, period = _largest(found, readings)
    if period <= readings / 3 and half_life >= period / 2:
        fades = epochs * half_life if half_life < readings else None
        return Evolution("oscillates", readings, explained, fades, epochs * period)
    if half_life <= readings / 3:
        return Evolution("settles", readings, explained, epochs * half_life)
    return Evolution("settles" if _late(changing) < LEAST_LATE else "changes", readings, explained)


def _fitted(curves: Curves, order: int) -> tuple[Modes, float]:
    """A level and other modes, and the share of the curves' variance that they explain."""
    steps = len(curves[0])
    found = modes([*curves, np.full(steps, LEVEL)], order=order, delays=min(steps // 2, MOST_DELAYS))
    rest = sum(float(np.square(x - found.sequence(i, steps)[:, 0].real).sum()) for i, x in enumerate(curves))
    return found, 1 - rest / (steps * len(curves))


def _worth(found: Modes, explained: float, curves: Curves) -> float:
    """The Bayesian information criterion of a fit with its sign turned: more is better."""
    count, order = len(curves) * len(curves[0]), len(found.poles)
    numbers = order * (1 + len(curves))
    return -count * math.log(max(1 - explained, 1e-12)) - numbers * math.log(count)


def _more_than_by_chance(explained: float, curves: Curves) -> bool:
    """Whether no random order of the readings is explained as well; the orders are the same each time."""
    draw = np.random.default_rng(0)
    orders = (draw.permutation(len(curves[0])) for _ in range(ORDERS))
    return all(_fitted([x[order] for x in curves], 3)[1] < explained for order in orders)


def _largest(found: Modes, steps: int) -> tuple[float, float]:
    """Half-life and period in readings of the mode, but for the level, that changes the most; infinite where it has none."""
    sizes = np.square(np.abs(np.stack([a[:, 0] for a in found.amplitudes[:-1]]))).sum(0)
    sizes = sizes * np.square(np.abs(found.poles[:, None]) ** np.arange(steps)).sum(1)
    sizes[np.argmin(np.abs(found.poles - 1))] = -1
    largest = int(np.argmax(sizes))
    decay, frequency = float(found.decays[largest]), abs(float(found.frequencies[largest]))
    return math.log(0.5) / decay if decay < 0 else math.inf, 1 / frequency if frequency > 0 else math.inf


def _late(curves: Curves) -> float:
    """Median share of what is between a curve's least and largest value that it goes in the last quarter of the readings."""
    begin = len(curves[0]) * 3 // 4
    return float(np.median([abs(x[-1] - x[begin]) / np.ptp(x) for x in curves]))


def heights(values: Sequence[float | None]) -> list[float | None]:
    """A curve to draw: each value from 0, the least, to 1, the largest; all 0 where it hardly changes, None where none is."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    scale = 1 / (high - low) if high - low >= LEAST_CHANGE else 0.0
    return [None if value is None else (value - low) * scale for value in values]


def course_of(readings: Sequence[Reading]) -> Course | None:
    """How a network's attentions evolved over its training; None where nothing was read.

    Args:
        readings: in the order of time; where one is missing, those behind count.
    """
    shown = _evenly_spaced(readings)
    if not shown:
        return None
    epochs = tuple(reading.epoch for reading in shown)
    each = epochs[1] - epochs[0] if len(epochs) > 1 else 1.0
    layers = []
    for layer, attentions in shown[-1].layers.items():
        spreads = {a.name: tuple(_finite(r.layers[layer][i].relative) for r in shown) for i, a in enumerate(attentions)}
        layers.append(LayerCourse(layer, spreads, evolution(_whole(spreads.values()), each)))
    together = evolution(_whole(curve for layer in layers for curve in layer.spreads.values()), each)
    return Course(epochs, tuple(layers), together)


def _evenly_spaced(readings: Sequence[Reading]) -> list[Reading]:
    """The last readings that are of the same layers and as far apart as the last two."""
    shown = list(readings[-1:])
    for reading in reversed(readings[:-1]):
        apart, wanted = shown[0].epoch - reading.epoch, shown[-1].epoch - shown[-2].epoch if len(shown) > 1 else None
        if _names(reading) != _names(shown[-1]) or (wanted is not None and abs(apart - wanted) > 1e-6):
            break
        shown.insert(0, reading)
    return shown


def _names(reading: Reading) -> dict[str, list[str]]:
    """Layers and their attentions."""
    return {layer: [a.name for a in attentions] for layer, attentions in reading.layers.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _whole(curves: Iterable[Sequence[float | None]]) -> list[list[float]]:
    """Those that have a value at each reading."""
    found = [[value for value in curve if value is not None] for curve in curves]
    readings = max(map(len, found), default=0)
    return [curve for curve in found if len(curve) == readings]
