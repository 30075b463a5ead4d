"""Draws a network as a self-contained SVG for a light background: its layers from input to output."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from dcdnas.pages.palette import COLOURS
from dcdnas.pages.strip import Bar, strip

if TYPE_CHECKING:
    from dcdnas.core.breakdown import Layer

TOP, BASE, HEIGHT, LEGEND = 20, 116, 206, 24
"""Top and baseline of the bars, height of the drawing, and height of the legend below it, in pixels."""

INK, SOFT, GROUND, PALE = "#16191d", "#4d545c", "#f1f3f5", 0.6

STYLE = (
    f"text{{font:10px DejaVu Sans,Verdana,sans-serif;fill:{INK}}}.m{{text-anchor:middle;font-size:9.5px}}.b{{font-weight:bold}}"
    f".s{{fill:{SOFT}}}"
)


def network_svg(layers: Sequence[Layer], title: str) -> str:
    """Draws the layers as the pages do: colour = operator, height of a bar = FLOPs, pale part = cost of being dynamic.

    Args:
        layers: from input to output.
        title: text alternative of the drawing.
    """
    drawing = strip(layers)
    width = max(drawing.width, 640)
    parts = [
        f'<path d="M{arc.x1 + 2:.1f} 126v5H{arc.x2 - 2:.1f}v-5" fill="none" stroke="{SOFT}" stroke-width="1.5"/>'
        for arc in drawing.arcs
    ]
    parts += [part for bar in drawing.bars for part in _bar(bar)]
    parts += _legend(list({bar.paint.name: bar for bar in drawing.bars}.values()))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{HEIGHT + LEGEND}" '
        f'viewBox="0 0 {width:.0f} {HEIGHT + LEGEND}" role="img"><title>{escape(title)}</title><style>{STYLE}</style>'
    )
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, ground, *parts, "</svg>", ""])


def _bar(bar: Bar) -> list[str]:
    colour, middle = COLOURS[bar.paint.index], bar.x + bar.width / 2
    found = [f"<g><title>{escape(bar.sentence)}</title>"]
    if bar.stage:
        name = bar.stage.replace("stage", "s").replace("classifier", "fc")
        found.append(f'<text class="b" x="{bar.x:.1f}" y="11">{escape(name)}</text>')
    found += [
        _rect(bar.x, TOP, bar.width, BASE - TOP, GROUND),
        _rect(bar.x, BASE - bar.height, bar.width, bar.height, colour),
    ]
    if bar.dynamic > 0.4:
        found.append(_rect(bar.x, BASE - bar.dynamic, bar.width, bar.dynamic, "#ffffff", PALE))
    found += [
        _rect(bar.x, BASE + 2, bar.width, 5, colour),
        f'<text class="m b" x="{middle:.1f}" y="146">{escape(bar.letters)}</text>',
        *(f'<text class="m s" x="{middle:.1f}" y="{159 + 12 * i}">{escape(note)}</text>' for i, note in enumerate(bar.notes)),
    ]
    return [*found, "</g>"]


def _legend(bars: Sequence[Bar]) -> list[str]:
    """One line that explains the colours, the heights and the brackets."""
    found, x, y = [], 4.0, HEIGHT + 14
    for bar in bars:
        found.append(_rect(x, y - 9, 10, 10, COLOURS[bar.paint.index]))
        said = f"{bar.paint.letters} = {bar.paint.name}"
        found.append(f'<text class="s" x="{x + 14:.1f}" y="{y}">{escape(said)}</text>')
        x += 26 + 6.2 * len(said)
    return [
        *found,
        f'<text class="s" x="{x + 4:.1f}" y="{y}">height: FLOPs; pale: cost of being dynamic; brackets: residual blocks</text>',
    ]


def _rect(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1.0) -> str:
    shade = f' opacity="{opacity:g}"' if opacity < 1 else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{shade}/>'
