"""Hidden widths of the small layers that compute an attention, as fractions of the channels."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dcdnas.core.geometry import ConvGeometry, Setting


def reduced(channels: int, reduction: Setting) -> int:
    """floor(C / r); a published ratio of 0.2 is r = 1 / 0.2, whose rounding must not take a unit away."""
    return math.floor(channels / float(reduction) + 1e-9)


def hidden_units(channels: int, reduction: Setting) -> int:
    """max(1, C // r)."""
    return max(1, reduced(channels, reduction))


def by_width(geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """What settings build of a controller with `hidden_units`: its width in place of the reduction."""
    return {**settings, "reduction": 0, "hidden": hidden_units(geometry.in_channels, settings["reduction"])}


def nearest_divisor(channels: int, wanted: int) -> int:
    """The largest divisor of C that is not above what is wanted."""
    return next(n for n in range(min(wanted, channels), 0, -1) if channels % n == 0)


def plain(number: Setting) -> Setting:
    """A whole number as an int, so that 4.0 and 4 are one setting."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
