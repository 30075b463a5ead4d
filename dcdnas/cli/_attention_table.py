"""The attentions of a network as a table."""

from __future__ import annotations

from collections.abc import Sequence

from dcdnas.cli._tables import Sheet, table
from dcdnas.core.dynamics import Dynamics
from dcdnas.core.units import percent

CAPTION = (
    "Dynamic share: variance of what changes in a layer's output when its attentions are held at their means, of the output. "
    "Spread: an attention's deviation over images, of its mean. Entropy of kernels: 1 is an even mixture, 0 a single kernel."
)


def attention_table(layers: Sequence[Dynamics]) -> Sheet:
    """One row an attention; what belongs to the layer stands in its first row."""
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
