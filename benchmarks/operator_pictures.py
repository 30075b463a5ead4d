"""Draws pictures of the operators' data flow as SVG, from the comment `drawing` of an operator's page.

A line with a position is a box: its name, kind, column and row, label, and after a bar a smaller second line; `_` and `^` make
the next character a subscript or superscript. The other lines are arrows: `>` goes straight, `hv` horizontally and then
vertically, `vh` the other way round, `z` leaves and arrives vertically, `s` horizontally. The first line of the comment describes
the picture in words, for readers who cannot see it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

KINDS = {"controller": "controller", "made": "made for each input", "stored": "stored parameters", "applied": "applied"}
CELL, ROW, HALF, MARGIN = 112, 64, 20, 34
STYLE = """
.ground { fill: #ffffff } text { fill: #1f2328; font: 14px system-ui, sans-serif; text-anchor: middle }
.small { font-size: 10.5px } .shift { font-size: 10px } .legend { font-size: 11.5px; text-anchor: start }
path { fill: none; stroke: #57606a; stroke-width: 1.4 }
.head { fill: #57606a; stroke: none } .blue { stroke: #0072b2; stroke-width: 2 } .bluehead { fill: #0072b2; stroke: none }
.controller { fill: #fff1d6; stroke: #b86e00 } .made { fill: #dcecfb; stroke: #0072b2; stroke-width: 2 }
.stored { fill: #e9ecef; stroke: #6e7781 } .applied { fill: #ffffff; stroke: #1f2328 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } text { fill: #e6edf3 } path { stroke: #9aa4af } .head { fill: #9aa4af } .blue { stroke: #56b4e9 }
.bluehead { fill: #56b4e9 } .controller { fill: #3a2a0a; stroke: #e69f00 } .made { fill: #0b2a43; stroke: #56b4e9 }
.stored { fill: #2b3138; stroke: #9aa4af } .applied { fill: #0d1117; stroke: #e6edf3 }
}
"""


@dataclass(frozen=True)
class Box:
    """A box of a picture, with its centre (x, y) in pixels."""

    kind: str
    label: str
    small: str
    x: float
    y: float

    @property
    def half(self) -> float:
        """Half of the width in pixels that its text needs."""
        if self.kind == "map":
            return 14
        wide = max(8.2 * len(plain(self.label)), 5.9 * len(plain(self.small))) + 18
        return max(wide / 2 + (6 if self.kind == "made" else 0), HALF)


def plain(text: str) -> str:
    """A label without the marks of subscripts and superscripts."""
    return re.sub(r"[_^{}]", "", text)


def described(drawing: str) -> str:
    """The description of a picture in words."""
    return drawing.partition("\n")[0]


def drawn(name: str, drawing: str) -> str:
    """Draws a picture; returns its SVG."""
    boxes: dict[str, Box] = {}
    arrows: list[tuple[str, str, str]] = []
    for line in drawing.splitlines()[1:]:
        words = line.split()
        if re.fullmatch(r"[\d.]+,[\d.]+", words[2]):
            column, row = map(float, words[2].split(","))
            label, _, small = " ".join(words[3:]).partition(" | ")
            boxes[words[0]] = Box(words[1], label, small, MARGIN + column * CELL, MARGIN + row * ROW)
        else:
            arrows += zip(words[0:-2:2], words[1:-1:2], words[2::2], strict=True)
    width = max(b.x + b.half for b in boxes.values()) + MARGIN - 14
    bottom = max(b.y for b in boxes.values()) + HALF + 40
    lines = [arrow(boxes[a], how, boxes[b]) for a, how, b in arrows]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom:.0f}" width="{width:.0f}" role="img">',
            f"<title>{name}</title><desc>{escape(described(drawing))}</desc><style>{STYLE}</style>",
            f'<rect class="ground" width="{width:.0f}" height="{bottom:.0f}" rx="8"/>',
            *sorted(lines, key=lambda line: "blue" in line),
            *(box(b) for b in boxes.values()),
            *legend({b.kind for b in boxes.values()}, bottom - 18),
            "</svg>\n",
        ]
    )


def box(b: Box) -> str:
    """SVG of a box with its text; inputs and outputs are text only."""
    corner = {"made": HALF, "controller": 6}.get(b.kind, 0)
    label = words(b.label, "", b.x, b.y + (-1 if b.small else 5)) + (words(b.small, "small", b.x, b.y + 13) if b.small else "")
    return label if b.kind == "map" else rectangle(b.kind, b.x - b.half, b.y - HALF, 2 * b.half, 2 * HALF, corner) + label


def rectangle(kind: str, x: float, y: float, width: float, height: float, corner: float) -> str:
    """SVG of a rectangle in the style of a kind."""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{corner}"/>'


def words(text: str, kind: str, x: float, y: float) -> str:
    """SVG of a line of text."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{shifted(text)}</text>'


def shifted(text: str) -> str:
    """Text with subscripts after `_` and superscripts after `^`, as SVG spans."""
    parts = re.split(r"([_^](?:\{[^}]*\}|.))", text)
    found, below = "", 0
    for part in filter(None, parts):
        size = {"_": 4, "^": -6}.get(part[0], 0)
        mark = ' class="shift"' if size else ""
        found += f'<tspan{mark} dy="{size - below}">{escape(plain(part) if size else part)}</tspan>'
        below = size
    return found


def arrow(a: Box, how: str, b: Box) -> str:
    """SVG of the arrow from box `a` to box `b`."""
    right, down = (1 if b.x > a.x else -1), (1 if b.y > a.y else -1)
    upright = how in ("vh", "z") or (how == ">" and abs(a.x - b.x) < 1)
    start = (a.x, a.y + down * (14 if a.kind == "map" else HALF)) if upright else (a.x + right * a.half, a.y)
    ends_upright = how in ("hv", "z") or (how == ">" and abs(a.x - b.x) < 1)
    end = (b.x, b.y - down * HALF) if ends_upright else (b.x - right * b.half, b.y)
    middle = (start[1] + end[1]) / 2
    aside = start[0] + 14 * right
    turns = {"hv": [(b.x, a.y)], "vh": [(a.x, b.y)], "z": [(a.x, middle), (b.x, middle)], "s": [(aside, a.y), (aside, b.y)]}.get(
        how, []
    )
    along = (0, down) if ends_upright else (right, 0)
    neck = (end[0] - 5 * along[0], end[1] - 5 * along[1])
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in [start, *turns, neck])
    blue = "blue" if a.kind == "made" else ""
    return f'<path class="{blue}" d="{path}"/><path class="{blue}head" d="{head(end, along)}"/>'


def head(tip: tuple[float, float], along: tuple[int, int]) -> str:
    """Path of the triangle at an arrow's end."""
    (x, y), (dx, dy) = tip, along
    back = (x - 9 * dx, y - 9 * dy)
    left, right = (back[0] + 4 * dy, back[1] + 4 * dx), (back[0] - 4 * dy, back[1] - 4 * dx)
    return "M" + " L".join(f"{a:.1f} {b:.1f}" for a, b in (tip, left, right)) + " Z"


def legend(kinds: set[str], y: float) -> Iterator[str]:
    """Yields the SVG of the legend, which explains the kinds of boxes."""
    x = float(MARGIN - 14)
    for kind, text in KINDS.items():
        if kind in kinds:
            yield rectangle(kind, x, y - 6, 20, 12, {"made": 6, "controller": 3}.get(kind, 0))
            yield words(text, "legend", x + 26, y + 4)
            x += 46 + 6 * len(text)
