"""Tables of a network's attentions."""

from __future__ import annotations

from collections.abc import Sequence

from dcdnas.analysis import LEAST_READINGS, heights
from dcdnas.cli._tables import Sheet, table
from dcdnas.core.dynamics import Course, Dynamics
from dcdnas.core.units import counted, percent

CAPTION = (
    "Dynamic share: variance of the change in a layer's output when its attentions are fixed at their means, as a share of the "
    "output's variance. Spread: an attention's standard deviation over images, as a share of its mean. Entropy of the kernels: 1 "
    "is an even mixture, 0 a single kernel."
)

HEIGHTS, WIDTH = "▁▂▃▄▅▆▇█", 12
"""Characters of a curve, from low to high, and the largest number of characters of a curve."""


def attention_table(layers: Sequence[Dynamics]) -> Sheet:
    """Makes a table with one row per attention; facts of a layer stand in its first row."""
    made = table(
        "Layer",
        "Operator",
        ">Dynamic share",
        "Attention",
        ">Elements",
        ">Mean",
        ">Spread",
        ">Entropy",
        spare=("Elements", "Mean"),
    )
    for layer in layers:
        for i, a in enumerate(layer.attentions):
            head = ("", "", "") if i else (layer.layer, layer.operator, percent(layer.share))
            entropy = "" if a.entropy is None else f"{a.entropy:.3f}"
            made.add_row(*head, a.name, f"{a.elements:,}", f"{a.mean:.3g}", percent(a.relative), entropy)
    made.caption = CAPTION
    return made


def course_table(course: Course) -> Sheet:
    """Makes a table with one row per attention: its spread over the training as a curve, and the evolution of its layer."""
    made = table("Layer", "Attention", "Over time", "Evolution", spare=("Over time", "Attention"))
    for layer in course.layers:
        for i, (name, spreads) in enumerate(layer.spreads.items()):
            made.add_row("" if i else layer.layer, name, curve(spreads), "" if i else layer.evolution.sentence)
    made.add_section()
    made.add_row("all layers", "", "", course.together.sentence)
    when = f"{counted(len(course.epochs), 'reading')}, epoch {course.epochs[0]:.3g} to {course.epochs[-1]:.3g}"
    made.caption = (
        f"Over time: the spread, drawn from its smallest to its largest value; {when}. Evolution: read from the modes that a "
        f"layer's spreads share, where they explain most of the change, and more than chance; needs {LEAST_READINGS} readings."
    )
    return made


def curve(values: Sequence[float | None]) -> str:
    """Draws a curve in characters, scaled from its smallest to its largest value; low if it hardly changes, a space for None."""
    count = min(WIDTH, len(values))
    shown = [values[round(i * (len(values) - 1) / max(1, count - 1))] for i in range(count)]
    top = len(HEIGHTS) - 1
    return "".join(" " if height is None else HEIGHTS[round(height * top)] for height in heights(shown))
