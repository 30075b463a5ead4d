"""Widths of the hidden layers that compute an attention, as fractions of the channels."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dcdnas.core.geometry import ConvGeometry, Setting


def reduced(channels: int, reduction: Setting) -> int:
    """Returns floor(C / r), with a tolerance: for a published ratio such as 0.2, rounding in r = 1 / 0.2 must not lose a unit."""
    return math.floor(channels / float(reduction) + 1e-9)


def hidden_units(channels: int, reduction: Setting) -> int:
    """Returns max(1, floor(C / r))."""
    return max(1, reduced(channels, reduction))


def by_width(geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings with the controller's width, from `hidden_units`, in place of the reduction; see `Operator.built`."""
    return {**settings, "reduction": 0, "hidden": hidden_units(geometry.in_channels, settings["reduction"])}


def nearest_divisor(channels: int, wanted: int) -> int:
    """The largest divisor of C that is at most `wanted`."""
    return next(n for n in range(min(wanted, channels), 0, -1) if channels % n == 0)


def plain(number: Setting) -> Setting:
    """Converts a float that is a whole number to int, so that 4.0 and 4 are the same setting."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
