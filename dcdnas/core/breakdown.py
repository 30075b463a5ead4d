"""The cost of a network, layer by layer, as plain data."""

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
        convolution: multiply-adds of the convolution itself, with every input-dependent quantity held constant.
        dynamic: multiply-adds that build and apply input-dependent quantities.
        controller: multiply-adds of the layers that compute these quantities.
    """

    convolution: int = 0
    dynamic: int = 0
    controller: int = 0

    @property
    def whole(self) -> int:
        """The sum of the three parts: the layer's multiply-adds."""
        return self.convolution + self.being_dynamic

    @property
    def being_dynamic(self) -> int:
        """Multiply-adds that the layer needs because it is dynamic: all but the convolution."""
        return self.dynamic + self.controller

    def __add__(self, other: Parts) -> Parts:
        return Parts(self.convolution + other.convolution, self.dynamic + other.dynamic, self.controller + other.controller)


KINDS: Mapping[str, str] = {
    "gate": "squeeze-and-excitation",
    "dyrelu": "dynamic ReLU",
    "dyshiftmax": "dynamic shift-max",
    "hamburger": "context by a factorisation",
    "pixel-linear": "1x1 with bias",
    "bilinear": "bilinear upsampling",
    "ddf-up": "DDF-Up upsampling",
}
"""Descriptions of the slots that no operator is chosen for, by kind."""


@dataclass(frozen=True)
class Layer:
    """One slot of a network with the operator in it and its cost.

    Args:
        slot: its name, kind, geometry with the size of the input map at deployment, and activation.
        choice: the operator with its resolved settings, the counted form, and the channels of its block's guide.
        cost: cost of the slot, including the parameters of BatchNorm; FLOPs at batch 1.
        parts: its multiply-adds by purpose.
        static: cost of a static convolution in the same slot; 0 where no operator is chosen, as for squeeze-and-excitation.
        residual: whether it is the last layer of a block that adds its input to its output.
        searched: whether the architecture names the slot; all other slots are static.
        unusual: names of the settings that differ from the operator's defaults.
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
        """Name of the slot."""
        return self.slot.name

    @property
    def geometry(self) -> ConvGeometry:
        """Geometry of the slot."""
        return self.slot.geometry

    @property
    def operator(self) -> str:
        """Name of the operator in the slot, or the slot's kind where it takes no operator."""
        choice = self.choice.operator
        return choice if self.slot.kind == "conv" or choice != "static" else self.slot.kind

    @property
    def flops(self) -> int:
        """Multiply-adds of the counted form at batch 1."""
        return self.parts.whole

    @property
    def dynamic_flops(self) -> int:
        """Those of the multiply-adds that the layer needs because it is dynamic."""
        return self.parts.being_dynamic

    @property
    def described(self) -> str:
        """The operator and all its settings in words."""
        return self._in_words(self.choice.settings)

    @property
    def notable(self) -> str:
        """The operator, the settings that differ from its defaults, and whether it takes a guide, in words."""
        words = self._in_words({name: value for name, value in self.choice.settings.items() if name in self.unusual})
        return f"{words}, guided" if self.choice.guide_channels else words

    @property
    def kernel(self) -> str:
        """The convolution as ``3x3``, ``3x3 depthwise`` or ``3x3 in 4 groups``; for other layers their kind, like ``linear``."""
        g = self.geometry
        if self.slot.kind != "conv":
            return KINDS.get(self.slot.kind, self.slot.kind)
        return f"{g.kernel_size}x{g.kernel_size}" + (" depthwise" if g.depthwise else f" in {g.groups} groups" * (g.groups > 1))

    def _in_words(self, settings: Mapping[str, Setting]) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in settings.items())
        return f"{self.operator}({inside})" if inside else self.operator


@dataclass(frozen=True)
class Breakdown:
    """The cost of a network, in total and by layer.

    Args:
        cost: cost of the network in all known metrics.
        layers: its layers in the order of computation, with the metrics that are sums over the layers.
    """

    cost: Cost
    layers: tuple[Layer, ...]

    @property
    def parts(self) -> Parts:
        """The network's multiply-adds by purpose."""
        return sum((layer.parts for layer in self.layers), Parts())

    @property
    def by_operator(self) -> dict[str, dict[str, float]]:
        """Number of ``layers``, their ``flops`` and ``params``, by operator."""
        found: dict[str, dict[str, float]] = {}
        for layer in self.layers:
            sums = found.setdefault(layer.operator, {"layers": 0, "flops": 0, "params": 0})
            for name, value in (("layers", 1), ("flops", layer.cost["flops"]), ("params", layer.cost["params"])):
                sums[name] += value
        return found

    def to_dict(self) -> dict[str, Any]:
        """Converts the breakdown to plain data for JSON."""
        return {"cost": dict(self.cost.values), "layers": [_written(layer) for layer in self.layers]}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Breakdown:
        """Reads a breakdown from the data that `to_dict` made.

        Raises:
            KeyError, TypeError: when the data have another form.
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
