"""Hidden widths of the small layers that compute an attention, as fractions of the channels."""

from __future__ import annotations

import math

from dcdnas.core.geometry import Setting


def reduced(channels: int, reduction: Setting) -> int:
    """floor(C / r); a published ratio of 0.2 is r = 1 / 0.2, whose rounding must not take a unit away."""
    return math.floor(channels / float(reduction) + 1e-9)


def plain(number: Setting) -> Setting:
    """A whole number as an int, so that 4.0 and 4 are one setting."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
