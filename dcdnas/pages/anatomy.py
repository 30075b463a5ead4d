"""One network layer by layer: what stands in each slot, what it costs, and how much of that is for being dynamic.

Importing this module imports torch; `dcdnas.pages.layers` does it in the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import Parts, slot_parts, slot_price
from dcdnas.errors import DcdnasError
from dcdnas.networks import STATIC, Slot, networks


@dataclass(frozen=True)
class Layer:
    """A slot with the operator that stands in it.

    Args:
        name: of the slot.
        kind: ``conv`` or ``linear``.
        geometry: of the place.
        choice: the operator with its resolved settings.
        parts: of the multiply-adds of the counted form at batch 1.
        static_flops: multiply-adds of an ordinary convolution in the same place.
        skip: whether the block that this layer closes adds its input to its output.
        searched: whether the space left this slot open.
    """

    name: str
    kind: Literal["conv", "linear", "gate"]
    geometry: ConvGeometry
    choice: LayerChoice
    parts: Parts
    static_flops: int
    skip: bool = False
    searched: bool = False

    @property
    def stage(self) -> str:
        """First part of the name."""
        return self.name.split(".")[0]

    @property
    def block(self) -> str:
        """The name without its last part, or the name itself."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def params(self) -> int:
        """Learnable parameters, BatchNorm's included."""
        return self.price("params")

    def price(self, metric: str) -> int:
        """Another additive metric of the slot, see `dcdnas.cost.additive_metrics`."""
        return slot_price(Slot(self.kind, self.geometry, self.kind), self.choice, (metric,))[0]

    @property
    def flops(self) -> int:
        """Multiply-adds of the counted form at batch 1."""
        return self.parts.whole

    @property
    def dynamic_flops(self) -> int:
        """What being dynamic costs of them."""
        return self.parts.being_dynamic

    @property
    def kernel(self) -> str:
        """``3x3``, ``3x3 depthwise``, ``3x3 in 4 groups``, ``linear`` or ``squeeze-and-excitation``."""
        g = self.geometry
        if self.kind != "conv":
            return "squeeze-and-excitation" if self.kind == "gate" else "linear"
        return f"{g.kernel_size}x{g.kernel_size}" + (" depthwise" if g.depthwise else f" in {g.groups} groups" * (g.groups > 1))


@dataclass(frozen=True)
class Anatomy:
    """A network's layers from input to output.

    Args:
        layers: in the order of computation; empty when `problem` says why.
        problem: why the layers cannot be shown; empty when they can.
    """

    layers: tuple[Layer, ...] = ()
    problem: str = ""

    @property
    def flops(self) -> int:
        """Of all layers."""
        return sum(layer.flops for layer in self.layers)

    @property
    def dynamic_flops(self) -> int:
        """What being dynamic costs in all layers."""
        return sum(layer.dynamic_flops for layer in self.layers)


@lru_cache(maxsize=512)
def anatomy(architecture: Architecture) -> Anatomy:
    """The layers of an architecture; a problem instead when it needs an operator or network that is not installed."""
    try:
        network = networks[architecture.network]
        slots = network.slots(architecture.input, architecture.classes, network.complete(architecture.settings))
        closing = _closing(slots) if network.ADDS else set()
        return Anatomy(tuple(_layer(s, architecture, s.name in closing) for s in slots))
    except (DcdnasError, TypeError, ValueError, KeyError) as error:
        return Anatomy(problem=f"The layers of this network cannot be shown: {error}")


def _layer(slot: Slot, architecture: Architecture, skip: bool) -> Layer:
    choice = architecture.layers.get(slot.name, STATIC)
    static = slot_price(slot, STATIC, ("flops",))[0]
    return Layer(
        slot.name, slot.kind, slot.geometry, choice, slot_parts(slot, choice), static, skip, slot.name in architecture.layers
    )  # fmt: skip


def _closing(slots: tuple[Slot, ...]) -> set[str]:
    """Names of the last slots of blocks that add their input to their output: shapes agree, or a shortcut makes them."""
    blocks: dict[str, list[Slot]] = {}
    for slot in slots:
        if slot.name != slot.block:
            blocks.setdefault(slot.block, []).append(slot)
    found = set()
    for inside in blocks.values():
        path = [s for s in inside if s.kind == "conv" and s.role != "shortcut"]
        first, last = path[0].geometry, path[-1].geometry
        same = (first.in_channels, first.height, first.width) == (last.out_channels, last.out_height, last.out_width)
        if same or any(s.role == "shortcut" for s in inside):
            found.add(path[-1].name)
    return found
