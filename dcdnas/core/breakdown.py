"""What a network costs, layer by layer, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.geometry import ConvGeometry, Cost, Setting
from dcdnas.core.slot import Slot


@dataclass(frozen=True)
class Parts:
    """Multiply-adds of a layer, or of several.

    Args:
        convolution: with all that depends on the input held constant.
        dynamic: what builds and applies input-dependent quantities.
        controller: the layers that compute these quantities.
    """

    convolution: int = 0
    dynamic: int = 0
    controller: int = 0

    @property
    def whole(self) -> int:
        """The sum: the layer's multiply-adds."""
        return self.convolution + self.being_dynamic

    @property
    def being_dynamic(self) -> int:
        """What being dynamic costs: all but the convolution."""
        return self.dynamic + self.controller

    def __add__(self, other: Parts) -> Parts:
        return Parts(self.convolution + other.convolution, self.dynamic + other.dynamic, self.controller + other.controller)


KINDS: Mapping[str, str] = {
    "gate": "squeeze-and-excitation",
    "hamburger": "context by a factorisation",
    "pixel-linear": "1x1 with bias",
    "bilinear": "bilinear upsampling",
    "ddf-up": "DDF-Up upsampling",
}
"""What stands in the slots that no operator is chosen for, in words."""


@dataclass(frozen=True)
class Layer:
    """One slot of a network with what stands in it.

    Args:
        slot: the place: its name, kind, geometry with the size of its input map at deployment, activation.
        choice: the operator with its resolved settings, the form that is counted, the channels of its block's guide.
        cost: of the slot, BatchNorm's parameters included; FLOPs at batch 1.
        parts: of its multiply-adds.
        static: what a static convolution would cost there; nothing in the place of squeeze-and-excitation.
        residual: whether it is the last of a block that adds its input to its output.
        searched: whether the architecture names it; all others are static.
        unusual: those settings that are not the operator's defaults.
    """

    slot: Slot
    choice: LayerChoice
    cost: Cost
    parts: Parts
    static: Cost
    residual: bool = False
    searched: bool = False
    unusual: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the slot."""
        return self.slot.name

    @property
    def geometry(self) -> ConvGeometry:
        """Of the slot."""
        return self.slot.geometry

    @property
    def operator(self) -> str:
        """What stands there: an operator, or the slot's kind where no operator does."""
        choice = self.choice.operator
        return choice if self.slot.kind == "conv" or choice != "static" else self.slot.kind

    @property
    def flops(self) -> int:
        """Multiply-adds of the counted form at batch 1."""
        return self.parts.whole

    @property
    def dynamic_flops(self) -> int:
        """What being dynamic costs of them."""
        return self.parts.being_dynamic

    @property
    def described(self) -> str:
        """Operator and settings in words."""
        return self._in_words(self.choice.settings)

    @property
    def notable(self) -> str:
        """Operator and those settings that are not the operator's defaults, in words; and whether it takes a guide."""
        words = self._in_words({name: value for name, value in self.choice.settings.items() if name in self.unusual})
        return f"{words}, guided" if self.choice.guide_channels else words

    @property
    def kernel(self) -> str:
        """``3x3``, ``3x3 depthwise``, ``3x3 in 4 groups``, or what stands there instead of a convolution, like ``linear``."""
        g = self.geometry
        if self.slot.kind != "conv":
            return KINDS.get(self.slot.kind, self.slot.kind)
        return f"{g.kernel_size}x{g.kernel_size}" + (" depthwise" if g.depthwise else f" in {g.groups} groups" * (g.groups > 1))

    def _in_words(self, settings: Mapping[str, Setting]) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in settings.items())
        return f"{self.operator}({inside})" if inside else self.operator


@dataclass(frozen=True)
class Breakdown:
    """What a network costs, whole and in its parts.

    Args:
        cost: of the network, in all metrics that are known.
        layers: in the order of computation, with the metrics that are sums over the layers.
    """

    cost: Cost
    layers: tuple[Layer, ...]

    @property
    def parts(self) -> Parts:
        """The network's multiply-adds by what they are for."""
        return sum((layer.parts for layer in self.layers), Parts())

    @property
    def by_operator(self) -> dict[str, dict[str, float]]:
        """Operator -> number of its ``layers``, their ``flops`` and ``params``."""
        found: dict[str, dict[str, float]] = {}
        for layer in self.layers:
            sums = found.setdefault(layer.operator, {"layers": 0, "flops": 0, "params": 0})
            for name, value in (("layers", 1), ("flops", layer.cost["flops"]), ("params", layer.cost["params"])):
                sums[name] += value
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"cost": dict(self.cost.values), "layers": [_written(layer) for layer in self.layers]}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Breakdown:
        """What `to_dict` wrote.

        Raises:
            KeyError, TypeError: when it is something else.
        """
        return Breakdown(Cost(plain["cost"]), tuple(map(_read, plain["layers"])))


def _written(layer: Layer) -> dict[str, Any]:
    slot, choice = layer.slot, layer.choice
    return {
        "slot": {"name": slot.name, "geometry": asdict(slot.geometry), "kind": slot.kind, "activation": slot.activation,
                 **({"variant": slot.variant} if slot.variant else {})},
        "choice": [choice.operator, dict(choice.settings), choice.form, choice.guide_channels],
        "cost": dict(layer.cost.values), "static": dict(layer.static.values), "parts": asdict(layer.parts),
        "residual": layer.residual, "searched": layer.searched, "unusual": list(layer.unusual),
    }  # fmt: skip


def _read(plain: Mapping[str, Any]) -> Layer:
    slot = Slot(**{**plain["slot"], "geometry": ConvGeometry(**plain["slot"]["geometry"])})
    cost, static, parts = Cost(plain["cost"]), Cost(plain["static"]), Parts(**plain["parts"])
    flags = plain["residual"], plain["searched"], tuple(plain["unusual"])
    return Layer(slot, LayerChoice(*plain["choice"]), cost, parts, static, *flags)
