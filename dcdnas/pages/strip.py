"""Lays out a network as a strip of bars, one per layer from input to output: positions and sizes of the drawing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcdnas.core.units import quantity
from dcdnas.pages.palette import Paint, paints

if TYPE_CHECKING:
    from dcdnas.cost import Layer

GAP, LEFT, BAR = 3.0, 4.0, 96.0
NARROW, BROAD, ROOM = 26.0, 44.0, 1220.0
"""Least and largest width of a layer, and the width that the drawing may fill before the layers are narrowed."""

SHORT = {"latent_dim": "L", "num_blocks": "B", "num_kernels": "n", "num_experts": "n", "num_regions": "m"}
"""The papers' letters for settings, short enough to be written under a bar; a value of 1 is not written."""


KERNELS = {
    "linear": "fc", "gate": "se", "hamburger": "ham", "pixel-linear": "1x1", "bilinear": "up", "ddf-up": "DDF-Up",
    "dyrelu": "act", "dyshiftmax": "act",
}  # fmt: skip
"""Text under the bar of a layer that is not a convolution, by its kind."""


@dataclass(frozen=True)
class Bar:
    """The bar of one layer; lengths are in SVG units.

    Args:
        layer: the layer that the bar represents.
        paint: of its operator.
        x: of its left side.
        width: of the bar.
        height: of the whole bar.
        dynamic: height of its pale part, at the bottom.
        notes: kernel and settings, one line each.
        stage: written above the first layer of a stage; empty for the others.
        differs: whether the bar is outlined.
        sentence: the numbers of the layer.
    """

    layer: Layer
    paint: Paint
    x: float
    width: float
    height: float
    dynamic: float
    notes: tuple[str, ...]
    stage: str
    differs: bool
    sentence: str

    @property
    def letters(self) -> str:
        """Abbreviation of the operator; empty where none is chosen, as for squeeze-and-excitation."""
        return self.paint.letters if self.layer.slot.searchable else ""


@dataclass(frozen=True)
class Arc:
    """A residual connection: left and right end of the bars that it spans."""

    x1: float
    x2: float


@dataclass(frozen=True)
class Strip:
    """The drawing of one network."""

    bars: tuple[Bar, ...]
    arcs: tuple[Arc, ...]
    width: float


def strip(layers: Sequence[Layer], scale: int = 0, differing: Collection[str] = (), columns: Sequence[str] = ()) -> Strip:
    """Lays out the drawing of a network.

    Args:
        layers: from input to output.
        scale: multiply-adds of a bar of full height; 0 for those of the network's most expensive layer.
        differing: names of the layers to outline.
        columns: layer names of all columns, to align networks drawn below each other; the network's own layers when empty.
    """
    most = scale or max((layer.flops for layer in layers), default=1) or 1
    paint = paints({layer.choice.operator for layer in layers})
    place = {name: i for i, name in enumerate(columns or [layer.name for layer in layers])}
    step = min(BROAD, max(NARROW, ROOM / max(1, len(place))))
    bars: list[Bar] = []
    for layer in layers:
        stage = layer.slot.stage if not bars or bars[-1].layer.slot.stage != layer.slot.stage else ""
        bars.append(Bar(
            layer, paint[layer.choice.operator], LEFT + place[layer.name] * step, step - GAP,
            max(1.5, BAR * layer.flops / most), BAR * layer.dynamic_flops / most, _notes(layer), stage,
            layer.name in differing, sentence(layer),
        ))  # fmt: skip
    return Strip(tuple(bars), tuple(_arcs(bars)), len(place) * step + 2 * LEFT)


def aligned(networks: Iterable[Sequence[Layer]]) -> list[str]:
    """Merges the layer names of several networks into one order that keeps the order of each network."""
    names: list[str] = []
    for layers in networks:
        at = 0
        for layer in layers:
            if layer.name not in names:
                names.insert(at, layer.name)
            at = names.index(layer.name) + 1
    return names


def sentence(layer: Layer) -> str:
    """A sentence with the operator, shape and cost of a layer."""
    g, c = layer.geometry, layer.choice
    what = "fully connected layer" if layer.slot.kind == "linear" and c.operator == "static" else f"{c.operator} {layer.kernel}"
    what = what if layer.slot.searchable else layer.kernel
    settings = ", ".join(f"{name} {value}" for name, value in c.settings.items())
    place = f"{g.in_channels} to {g.out_channels} channels"
    if layer.slot.kind != "linear":
        place += f" on a {g.height}x{g.width} map" + (f", stride {g.stride}" if g.stride > 1 else "")
    cost = f"{quantity('flops', layer.flops)}, {quantity('params', layer.cost['params'])}"
    if c.operator != "static":
        share = 100 * layer.dynamic_flops / max(1, layer.flops)
        cost += f"; {quantity('flops', layer.dynamic_flops)} of them ({share:.0f} %) for being dynamic"
        if layer.flops < layer.static["flops"]:
            cost += f"; an ordinary convolution here would cost {quantity('flops', layer.static['flops'])}"
    end = " Closes a residual block." if layer.residual else ""
    return f"{layer.name}: {what}{f' ({settings})' if settings else ''}, {place}: {cost}.{end}"


def _notes(layer: Layer) -> tuple[str, ...]:
    g = layer.geometry
    kernel = KERNELS.get(layer.slot.kind) or f"{'d' if g.depthwise else ''}{g.kernel_size}x{g.kernel_size}"
    settings = [f"{SHORT[name]}{value}" for name, value in layer.choice.settings.items() if name in SHORT and value != 1]
    return (kernel, *settings[:3])


def _arcs(bars: list[Bar]) -> list[Arc]:
    """One arc per residual block, from before its first layer to after its last."""
    found = []
    for bar in bars:
        if bar.layer.residual:
            first = next(b for b in bars if b.layer.slot.block == bar.layer.slot.block)
            found.append(Arc(first.x, bar.x + bar.width))
    return found
