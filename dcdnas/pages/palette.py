"""How operators look everywhere: a colour class, a marker and up to four letters each. Colour never stands alone.

Nine operators have a look of their own. Any other, of the package or a plugin, takes one of the further looks by its name, so
that an operator that comes or goes changes nobody else's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from dcdnas.core.catalogue import Catalogue

FIXED = ("static", "condconv", "dcd", "ddf", "drconv", "dyconv", "odconv", "sk", "weightnet")
"""Operators whose looks are the first ones, in this order."""

MARKERS = (
    *("square", "circle", "diamond", "up", "down", "plus", "cross", "star", "bar"),
    *("left", "right", "pillar", "hexagon", "hourglass", "bow"),
)
"""Shapes of points, in the order of the colour classes ``op0``, ``op1``, ... of the style sheet."""

COLOURS = (
    *("#868c95", "#e69f00", "#0072b2", "#009e73", "#56b4e9", "#cc79a7", "#b5a900", "#d55e00", "#7d4e2d"),
    *("#8f55d9", "#6fae12", "#e3405f", "#12b0b0", "#c9987c", "#6b7ff0"),
)
"""Of the colour classes on white, as in the style sheet: the first nine are told apart by the colour-blind too (Okabe and Ito,
2008), the further ones with the help of their markers and letters."""


@dataclass(frozen=True)
class Paint:
    """How one operator is shown.

    Args:
        name: of the operator, or ``mixed``.
        index: of its colour class.
    """

    name: str
    index: int

    @property
    def css(self) -> str:
        """The class that gives it its colour."""
        return f"op{self.index}"

    @property
    def marker(self) -> str:
        """The shape of its points."""
        return MARKERS[self.index]

    @property
    def letters(self) -> str:
        """A few letters that name it where there is no room: ``DCD``, ``OD`` for odconv, ``S`` for static."""
        if self.name == "static":
            return "S"
        stem = self.name.removesuffix("conv").removesuffix("net") or self.name
        return "".join(c for c in stem.upper() if c.isalnum())[:4]


def paints(used: Iterable[str]) -> dict[str, Paint]:
    """Operator -> paint, of all operators of the package and those used, static first; an operator keeps its look in every run.

    Only where two further operators want the same look, a plugin's or the one whose name comes later takes the next free one;
    where there are more of them than looks, some share one and differ by their letters.
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
    """The further looks in the order in which an operator of this name would have them."""
    count = len(MARKERS) - len(FIXED)
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % count
    return [len(FIXED) + (first + i) % count for i in range(count)]
