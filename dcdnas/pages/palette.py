"""How operators look everywhere: a colour class, a marker and up to four letters each. Colour never stands alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dcdnas.core.catalogue import Catalogue

MARKERS = ("square", "circle", "diamond", "up", "down", "plus", "cross", "star", "bar")
"""Shapes of points, in the order of the colour classes ``op0`` to ``op8`` of the style sheet."""

COLOURS = ("#868c95", "#e69f00", "#0072b2", "#009e73", "#56b4e9", "#cc79a7", "#b5a900", "#d55e00", "#7d4e2d")
"""Of the colour classes on white, as in the style sheet: told apart by the colour-blind too (Okabe and Ito, 2008)."""


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
    """Operator -> paint; static is grey, the others keep their colour in every run of this version of dcdnas."""
    known = [name for name in Catalogue[object]("operators", "operator") if name != "static"]
    order = [*known, *sorted({*used} - {*known, "static"})]
    colours = len(MARKERS) - 1
    return {"static": Paint("static", 0), **{name: Paint(name, 1 + i % colours) for i, name in enumerate(order)}}
