"""Axes, points and lines of a figure for print, from the shapes of reportlab. Lengths in points (1/72 inch), y upwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import reportlab
from reportlab.graphics.shapes import Circle, Drawing, Group, Polygon, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

INK, SOFT, GRID = "#000000", "#4d545c", "#d9dce0"
FONT, BOLD = "Vera", "VeraBd"
SIZE = 7.0
"""Of letters, in points: what journals ask of figures."""

CORNERS = {
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
    "up": [(0, 1.3), (1.2, -0.9), (-1.2, -0.9)],
    "down": [(0, -1.3), (1.2, 0.9), (-1.2, 0.9)],
    "plus": [(-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4), (0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4),
             (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)],
    "cross": [(-1.2, -0.7), (-0.7, -1.2), (0, -0.5), (0.7, -1.2), (1.2, -0.7), (0.5, 0), (1.2, 0.7), (0.7, 1.2), (0, 0.5),
              (-0.7, 1.2), (-1.2, 0.7), (-0.5, 0)],
    "star": [(0, 1.4), (0.4, 0.4), (1.4, 0.4), (0.6, -0.3), (0.9, -1.3), (0, -0.7), (-0.9, -1.3), (-0.6, -0.3), (-1.4, 0.4),
             (-0.4, 0.4)],
    "bar": [(-1.5, -0.5), (1.5, -0.5), (1.5, 0.5), (-1.5, 0.5)],
}  # fmt: skip
"""Of each marker, for a radius of 1; a circle has none."""


Entry = tuple[str, str, str]
"""Of a legend: marker, colour, words; the markers ``line`` and ``dash`` are strokes."""


@dataclass(frozen=True)
class Scale:
    """From a value to a place.

    Args:
        low: value at `start`.
        high: value at `end`.
        start: place.
        end: place.
        log: whether equal ratios are equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        f: Callable[[float], float] = math.log10 if self.log else float
        low, high = f(self.low), f(self.high)
        return self.start + (f(value) - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self, count: int) -> list[float]:
        """About so many round values."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [m * 10.0**e for e in powers for m in (1, 2, 5) if self.low <= m * 10.0**e <= self.high]
            if len(found) > 2:
                return found
        rough = (self.high - self.low) / max(1, count) or 1.0
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


class Figure:
    """A drawing with a rectangle for data.

    Args:
        width: of the whole.
        height: of the whole.
        entries: of the legend, above the data.
        left: room beside the data.
        bottom: room below it.
    """

    def __init__(self, width: float, height: float, entries: Sequence[Entry] = (), left: float = 34, bottom: float = 28) -> None:
        _fonts()
        self.drawing = Drawing(width, height)
        self.left, self.right, self.bottom = left, width - 6, bottom
        self.top = height - max(8.0, self._legend(entries))

    def text(
        self, x: float, y: float, said: str, anchor: str = "start", colour: str = INK, size: float = SIZE, bold: bool = False
    ) -> None:
        """Words; `anchor` is start, middle or end."""
        found = String(x, y, said, textAnchor=anchor, fontName=BOLD if bold else FONT, fontSize=size, fillColor=HexColor(colour))
        self.drawing.add(found)

    def line(
        self, points: Sequence[tuple[float, float]], colour: str = INK, width: float = 0.8, dash: Sequence[int] = ()
    ) -> None:
        """Straight lines through points."""
        flat = [c for p in points for c in p]
        self.drawing.add(PolyLine(flat, strokeColor=HexColor(colour), strokeWidth=width, strokeDashArray=list(dash) or None))

    def rect(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> None:
        """A filled rectangle."""
        self.drawing.add(Rect(x, y, width, height, fillColor=_shade(colour, opacity), strokeColor=None))

    def area(self, points: Sequence[tuple[float, float]], colour: str, opacity: float) -> None:
        """A filled polygon."""
        self.drawing.add(Polygon([c for p in points for c in p], fillColor=_shade(colour, opacity), strokeColor=None))

    def marker(
        self, shape: str, x: float, y: float, radius: float, colour: str, opacity: float = 1.0, ring: bool = False
    ) -> None:
        """A point; with a black edge where `ring`."""
        edge = {"strokeColor": HexColor(INK) if ring else None, "strokeWidth": 0.6, "fillColor": _shade(colour, opacity)}
        if shape == "circle":
            self.drawing.add(Circle(x, y, radius, **edge))
        else:
            self.drawing.add(Polygon([c for dx, dy in CORNERS[shape] for c in (x + dx * radius, y + dy * radius)], **edge))

    def axes(
        self, x: Scale | None, y: Scale, x_said: str, y_said: str, x_tick: Callable[[float], str], y_tick: Callable[[float], str]
    ) -> None:
        """Grid, numbers and names of the axes; without `x` the places across have no numbers."""
        for value in y.ticks(5):
            self.line([(self.left, y(value)), (self.right, y(value))], GRID, 0.4)
            self.text(self.left - 3, y(value) - 2.4, y_tick(value), "end", SOFT)
        for value in x.ticks(round((self.right - self.left) / 45)) if x else ():
            if x and x_tick(value):
                self.line([(x(value), self.bottom), (x(value), self.bottom - 2.5)], SOFT, 0.5)
                self.text(x(value), self.bottom - 10, x_tick(value), "middle", SOFT)
        self.line([(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)], SOFT, 0.6)
        self.text((self.left + self.right) / 2, 4, x_said, "middle")
        up = Group(String(0, 0, y_said, textAnchor="middle", fontName=FONT, fontSize=SIZE, fillColor=HexColor(INK)))
        up.translate(8, (self.bottom + self.top) / 2)
        up.rotate(90)
        self.drawing.add(up)

    def _legend(self, entries: Sequence[Entry]) -> float:
        """Marker, colour and words of each, in rows from the top down; returns the room that they take."""
        at, height = self.left, self.drawing.height - 8
        for shape, colour, said in entries:
            stroke = shape in ("line", "dash")
            broad = (16 if stroke else 8) + pdfmetrics.stringWidth(said, FONT, SIZE)
            if at > self.left and at + broad > self.right:
                at, height = self.left, height - 10
            if stroke:
                self.line([(at, height), (at + 12, height)], colour, 0.9, (3, 2) if shape == "dash" else ())
            else:
                self.marker(shape, at + 3, height, 2.5, colour)
            self.text(at + broad - pdfmetrics.stringWidth(said, FONT, SIZE), height - 2.4, said)
            at += broad + 9
        return self.drawing.height - height + 8 if entries else 0.0


@cache
def _fonts() -> None:
    """The fonts that come with reportlab, to be embedded."""
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (FONT, BOLD):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))


def _shade(colour: str, opacity: float) -> Color:
    """The colour mixed with white: every viewer and journal takes it, unlike transparency."""
    full = HexColor(colour)
    return Color(*(1 - opacity * (1 - c) for c in (full.red, full.green, full.blue)))
