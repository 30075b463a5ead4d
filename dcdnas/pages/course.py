"""Small curves that show how the spread of each attention changed during training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from dcdnas.analysis import LEAST_READINGS, heights
from dcdnas.core.units import percent

__all__ = ["HEIGHT", "LEAST_READINGS", "WIDTH", "described", "stretches"]

WIDTH, HEIGHT, EDGE = 150.0, 20.0, 2.0
"""Width and height of the drawing of a curve, and the margin on each side, in SVG units."""


def stretches(values: Sequence[float | None]) -> list[str]:
    """Points of the polylines of a curve, scaled from its least to its largest value; a missing value interrupts the line.

    A curve that hardly changes lies at the bottom, as in the table of `dcdnas attention`.
    """
    across, up = (WIDTH - 2 * EDGE) / max(1, len(values) - 1), HEIGHT - 2 * EDGE
    points = [
        None if height is None else f"{EDGE + i * across:.1f},{HEIGHT - EDGE - height * up:.1f}"
        for i, height in enumerate(heights(values))
    ]
    return [" ".join(filter(None, run)) for there, run in groupby(points, lambda point: point is not None) if there]


def described(layer: str, attention: str, values: Sequence[float | None]) -> str:
    """Text alternative of a curve, for screen readers."""
    known = [value for value in values if value is not None]
    if not known:
        return f"{layer}, {attention}: no spread"
    ends = f"from {percent(known[0])} to {percent(known[-1])}"
    return f"{layer}, {attention}: spread {ends}, least {percent(min(known))}, largest {percent(max(known))}"
