"""Appearance of each operator in all drawings: a colour class, a marker and up to four letters, so that colour is never the
only cue.

Nine operators have a fixed appearance. Any other operator, of the package or a plugin, is assigned one of the remaining
appearances by a hash of its name, so that adding or removing an operator does not change the appearance of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from dcdnas.core.catalogue import Catalogue

FIXED = ("static", "condconv", "dcd", "ddf", "drconv", "dyconv", "odconv", "sk", "weightnet")
"""Operators with the first colours and markers, in this order."""

MARKERS = (
    *("square", "circle", "diamond", "up", "down", "plus", "cross", "star", "bar"),
    *("left", "right", "pillar", "hexagon", "hourglass", "bow", "house", "chevron", "tee"),
    *("shield", "peak", "foot"),
)
"""Marker shapes of points, in the order of the colour classes ``op0``, ``op1``, ... of the style sheet."""

COLOURS = (
    *("#868c95", "#e69f00", "#0072b2", "#009e73", "#56b4e9", "#cc79a7", "#b5a900", "#d55e00", "#7d4e2d"),
    *("#8f55d9", "#6fae12", "#e3405f", "#12b0b0", "#c9987c", "#6b7ff0", "#0e6b4f", "#a8326e", "#4a4fa3"),
    *("#1f6d8c", "#c23bd1", "#4f7a28"),
)
"""Colours of these classes on white, as in the style sheet. The first nine are distinguishable for colour-blind readers too
(Okabe and Ito, 2008), the others with the help of their markers and letters."""


@dataclass(frozen=True)
class Paint:
    """Appearance of one operator.

    Args:
        name: of the operator, or ``mixed``.
        index: of its colour class and marker.
    """

    name: str
    index: int

    @property
    def css(self) -> str:
        """The CSS class that sets its colour."""
        return f"op{self.index}"

    @property
    def marker(self) -> str:
        """The marker shape of its points."""
        return MARKERS[self.index]

    @property
    def letters(self) -> str:
        """An abbreviation of up to four letters: ``DCD``, ``OD`` for odconv, ``S`` for static."""
        if self.name == "static":
            return "S"
        stem = self.name.removesuffix("conv").removesuffix("net") or self.name
        return "".join(c for c in stem.upper() if c.isalnum())[:4]


def paints(used: Iterable[str]) -> dict[str, Paint]:
    """Operator -> paint, for all operators of the package and those used, static first; the same for every run.

    The only exception: when two operators without a fixed appearance hash to the same one, the plugin's operator, or the one
    whose name sorts later, takes the next free appearance. When all are taken, operators share one and differ by their letters.
    """
    fixed = {name: Paint(name, index) for index, name in enumerate(FIXED)}
    known = [*FIXED, *Catalogue[object]("operators", "operator")]
    others = [*(name for name in known if name not in fixed), *sorted({*used} - {*known})]
    free = set(range(len(FIXED), len(MARKERS)))
    for name in others:
        wanted = _wanted(name)
        index = next((i for i in wanted if i in free), wanted[0])
        free.discard(index)
        fixed[name] = Paint(name, index)
    return fixed


def _wanted(name: str) -> list[int]:
    """Indices of the appearances that are not fixed, in the order in which an operator of this name prefers them."""
    count = len(MARKERS) - len(FIXED)
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % count
    return [len(FIXED) + (first + i) % count for i in range(count)]
