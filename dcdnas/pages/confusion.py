"""Draws a confusion matrix as a self-contained SVG; a cell is darker the larger its share of the images of its class."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

CELL, TEXT, GAP = 26, 11, 8
"""Side of a cell, height of a letter, and distance between the class names and the cells, in pixels."""

WIDTH_OF_A_LETTER = 0.58
"""Average width of a letter of a common sans-serif font, as a multiple of its height."""

NUMBERED, NAMED = 30, 120
"""Largest numbers of classes for which counts are written into the cells, and class names beside them."""

LONGEST = 24
"""Most letters of a class name that are shown."""

RIGHT, WRONG = (29, 78, 137), (163, 32, 27)


def confusion_svg(confusion: Sequence[Sequence[int]], names: Sequence[str], title: str) -> str:
    """Returns the matrix as SVG: one row per true class, one column per predicted class, shaded by the share of the row.

    Args:
        confusion: number of images by true class and predicted class.
        names: of the classes.
        title: written above the matrix.
    """
    count = len(names)
    cell = CELL if count <= NUMBERED else max(3, min(12, 900 // count))
    called = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names] if count <= NAMED else []
    letter = min(TEXT, cell)
    room = max((len(name) for name in called), default=0) * letter * WIDTH_OF_A_LETTER + 2 * GAP
    left, top, side = room + TEXT + GAP, room + 3 * TEXT + 2 * GAP, cell * count
    parts = [
        _text(GAP, GAP + TEXT, title, weight="bold"),
        _text(left, GAP + 2.6 * TEXT, "rows: true class; columns: predicted; shade: row share"),
        *(_cells(confusion, names, left, top, cell)),
    ]
    for i, name in enumerate(called):
        middle = i * cell + cell / 2
        parts.append(_text(left - GAP, top + middle + letter * 0.35, name, size=letter, anchor="end"))
        x, y = left + middle + letter * 0.35, top - GAP
        parts.append(_text(x, y, name, size=letter, turned=f"rotate(-90 {x:.1f} {y:.1f})"))
    parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{side}" height="{side}" fill="none" stroke="#4d545c"/>')
    width, height = left + side + GAP, top + side + GAP
    width = max(width, GAP + len(title) * TEXT * 0.62, left + 56 * TEXT * WIDTH_OF_A_LETTER)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" font-family="DejaVu Sans, Verdana, sans-serif" font-size="{TEXT}">'
    )
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>", ""]
    )


def _cells(confusion: Sequence[Sequence[int]], names: Sequence[str], left: float, top: float, cell: int) -> list[str]:
    """One square for each pair of classes with at least one image, with the count where there is room."""
    found = []
    for i, row in enumerate(confusion):
        total = sum(row)
        for j, images in enumerate(row):
            if not images:
                continue
            share = images / total
            x, y = left + j * cell, top + i * cell
            said = (
                f"{names[i]} taken for {names[j]}: {images:,} of {total:,}"
                if i != j
                else f"{names[i]}: {images:,} of {total:,} right"
            )
            place = f'x="{x:.1f}" y="{y:.1f}" width="{cell}" height="{cell}"'
            colour = _shade(share, RIGHT if i == j else WRONG)
            found.append(f'<rect {place} fill="{colour}"><title>{escape(said)}</title></rect>')
            if len(names) <= NUMBERED:
                dark = "#ffffff" if share > 0.5 else "#000000"
                size = min(TEXT, 1.5 * cell / len(str(images)))
                found.append(_text(x + cell / 2, y + cell / 2 + size * 0.35, str(images), size=size, anchor="middle", fill=dark))
    return found


def _shade(share: float, colour: tuple[int, int, int]) -> str:
    """Mixes a colour with white in proportion to `share`; even the smallest share remains visible."""
    strength = 0.08 + 0.92 * share
    return "#" + "".join(f"{round(255 - strength * (255 - part)):02x}" for part in colour)


def _text(x: float, y: float, text: str, size: float = TEXT, turned: str = "", **style: Any) -> str:
    known = {"anchor": "text-anchor", "weight": "font-weight", "fill": "fill"}
    more = "".join(f' {known[name]}="{value}"' for name, value in style.items())
    more += f' transform="{turned}"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}"{more}>{escape(text)}</text>'
