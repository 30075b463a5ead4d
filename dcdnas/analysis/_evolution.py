"""Classifies how the attentions of a layer evolve over a training: a pattern and up to two numbers, from their shared modes.

Few or noisy readings contain little information. A pattern is therefore only named where the modes explain more than half of the
variance of the spreads, and more than they explain of the same readings in any of 39 random orders. Of layers whose readings are
pure noise, at most one in 40 is then reported to have a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcdnas.analysis._modes import Modes, modes
from dcdnas.core.dynamics import Course, Evolution, LayerCourse, Reading
from dcdnas.errors import UsageError

LEAST_READINGS = 12
"""Smallest number of readings; fewer are not distinguishable from noise."""

LEAST_CHANGE = 1e-3
"""Smallest difference between the smallest and the largest value of a curve for it to count as changing."""

LEAST_EXPLAINED = 0.5
"""Share of the variance that the modes have to exceed for a pattern to be named."""

LEAST_LATE = 0.15
"""Smallest share of a curve's range in the last quarter of the readings for it to be still changing; a straight line has 1/4."""

ORDERS = 39
"""Number of random orders of the readings, all of which the modes must explain less well than the true order."""

MOST_DELAYS = 16
"""Largest number of delays of the matrix pencil, which bounds the computation for long trainings."""

LEVEL = 1e4
"""Value of the added constant sequence, which makes a constant level one of the modes; curves have a standard deviation of 1."""

Curves = Sequence[NDArray[np.float64]]


def evolution(curves: Sequence[ArrayLike], epochs: float = 1.0) -> Evolution:
    """Classifies how curves evolve, by the modes that they share.

    A constant level and one or two further modes are fitted to all curves together, each in units of its own standard deviation.
    The mode with the largest changes determines the pattern: an oscillation where the readings cover three periods, a settling
    where they cover three half-lives (so that an eighth is left) or where most curves hardly change at the end.

    Args:
        curves: curves of equal length (t,), evenly spaced.
        epochs: number of epochs between two readings.

    Raises:
        UsageError: for curves of different lengths, or with values that are not finite.
    """
    given = [np.asarray(curve, np.float64) for curve in curves]
    readings = len(given[0]) if given else 0
    if any(x.shape != (readings,) or not np.isfinite(x).all() for x in given):
        raise UsageError("the curves differ in length or are not finite. Allowed: finite curves of one length, each (readings,).")
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
    """Fits a level and further modes, `order` in total; returns them and the share of the curves' variance that they explain."""
    steps = len(curves[0])
    found = modes([*curves, np.full(steps, LEVEL)], order=order, delays=min(steps // 2, MOST_DELAYS))
    rest = sum(float(np.square(x - found.sequence(i, steps)[:, 0].real).sum()) for i, x in enumerate(curves))
    return found, 1 - rest / (steps * len(curves))


def _worth(found: Modes, explained: float, curves: Curves) -> float:
    """The negative Bayesian information criterion of a fit: larger is better."""
    count, order = len(curves) * len(curves[0]), len(found.poles)
    numbers = order * (1 + len(curves))
    return -count * math.log(max(1 - explained, 1e-12)) - numbers * math.log(count)


def _more_than_by_chance(explained: float, curves: Curves) -> bool:
    """Whether the modes explain every random order of the readings less well; the orders are always the same."""
    draw = np.random.default_rng(0)
    orders = (draw.permutation(len(curves[0])) for _ in range(ORDERS))
    return all(_fitted([x[order] for x in curves], 3)[1] < explained for order in orders)


def _largest(found: Modes, steps: int) -> tuple[float, float]:
    """Half-life and period, in readings, of the mode with the largest changes, level excluded; infinite where it has none."""
    sizes = np.square(np.abs(np.stack([a[:, 0] for a in found.amplitudes[:-1]]))).sum(0)
    sizes = sizes * np.square(np.abs(found.poles[:, None]) ** np.arange(steps)).sum(1)
    sizes[np.argmin(np.abs(found.poles - 1))] = -1
    largest = int(np.argmax(sizes))
    decay, frequency = float(found.decays[largest]), abs(float(found.frequencies[largest]))
    return math.log(0.5) / decay if decay < 0 else math.inf, 1 / frequency if frequency > 0 else math.inf


def _late(curves: Curves) -> float:
    """Change over the last quarter of the readings as a share of a curve's range, the median over the curves."""
    begin = len(curves[0]) * 3 // 4
    return float(np.median([abs(x[-1] - x[begin]) / np.ptp(x) for x in curves]))


def heights(values: Sequence[float | None]) -> list[float | None]:
    """Scales a curve for drawing from 0, its minimum, to 1, its maximum; all 0 where it hardly changes, None stays None."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    scale = 1 / (high - low) if high - low >= LEAST_CHANGE else 0.0
    return [None if value is None else (value - low) * scale for value in values]


def course_of(readings: Sequence[Reading]) -> Course | None:
    """Analyses how a network's attentions evolved over its training; None without readings, or without attentions.

    Args:
        readings: readings in chronological order; where one is missing, only the readings after the gap are used.
    """
    shown = _evenly_spaced(readings)
    if not shown or not shown[-1].layers:
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
    """The longest run of last readings with the same layers and the same distance as between the last two."""
    shown = list(readings[-1:])
    for reading in reversed(readings[:-1]):
        apart, wanted = shown[0].epoch - reading.epoch, shown[-1].epoch - shown[-2].epoch if len(shown) > 1 else None
        if _names(reading) != _names(shown[-1]) or (wanted is not None and abs(apart - wanted) > 1e-6):
            break
        shown.insert(0, reading)
    return shown


def _names(reading: Reading) -> dict[str, list[str]]:
    """Names of the attentions of each layer."""
    return {layer: [a.name for a in attentions] for layer, attentions in reading.layers.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _whole(curves: Iterable[Sequence[float | None]]) -> list[list[float]]:
    """The curves without gaps; if every curve has one, those that are without gaps for the most last readings, from there on.

    Values on both sides of a gap are never joined, because the curves of `evolution` are evenly spaced.
    """
    found = [_after_gaps(curve) for curve in curves]
    readings = max(map(len, found), default=0)
    return [curve for curve in found if len(curve) == readings]


def _after_gaps(curve: Sequence[float | None]) -> list[float]:
    """The values after the last reading without one."""
    last = list(takewhile(lambda value: value is not None, reversed(curve)))
    return [value for value in reversed(last) if value is not None]
