"""The layer and the network of a published CondConv implementation (github.com/d-li14/condconv.pytorch)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dcdnas.core.architecture import Architecture
from dcdnas.networks import slots_of
from dcdnas.operators.condconv import CondConv
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer
from dcdnas.published._preset import CLASSIFIER, Preset, guided, static_network, with_operator

__all__ = ["source"]

DYNAMIC_BLOCKS = 6
"""Number of blocks at the end of the network that are dynamic, with one router each."""


def routed_cond_conv2d(
    *,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    num_experts: int = 1,
) -> CondConv:
    """Builds a convolution with its own router, which computes the weights from the convolution's input."""
    return CondConv(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, num_experts=num_experts)


LAYER = PublishedLayer(
    routed_cond_conv2d,
    MappingProxyType({"route.fc": "router.fc", "conv.weight": "weight", "conv.bias": "bias"}),
)

INSIDE = PublishedLayer(routed_cond_conv2d, MappingProxyType({"weight": "weight"}))
"""The layer inside the network, where the block owns the router and there is no bias."""


def cond_mobilenetv2(*, width: float = 1.0, E: int = 8, num_classes: int = 1000, input_size: int = 224) -> Architecture:
    """MobileNetV2 with CondConv in the last six blocks, whose layers share a router each, and in the classifier."""
    static = static_network("mobilenetv2", {"width": width}, num_classes, input_size)
    slots = slots_of(static)
    blocks = list(dict.fromkeys(slot.block for slot in slots if slot.role == "project"))[-DYNAMIC_BLOCKS:]
    settings = {"num_experts": E}
    dynamic = with_operator(static, "condconv", lambda s: settings if s.block in blocks or s.kind == "linear" else None)
    return guided(dynamic, blocks)


ROLES = {"expand": "pw", "depthwise": "dw", "project": "pw_linear"}
"""Role of a slot -> name of the convolution in the published blocks."""


def places(architecture: Architecture) -> Mapping[str, str]:
    """Maps the published names to those of this package; the first layer of a block owns its router."""
    found = {"features.0.0": "stem.conv", "features.0.1": "stem.norm", "conv.0": "head.conv", "conv.1": "head.norm"}
    found |= {**CLASSIFIER, "classifier_route": "classifier.router"}
    numbers: dict[str, int] = {}
    for slot in slots_of(architecture):
        if slot.role in ROLES:
            first = slot.block not in numbers
            theirs = f"features.{numbers.setdefault(slot.block, len(numbers) + 1)}"
            found |= {f"{theirs}.{ROLES[slot.role]}": f"{slot.name}.conv", f"{theirs}.bn_{ROLES[slot.role]}": f"{slot.name}.norm"}
            if first:
                found[f"{theirs}.route"] = f"{slot.name}.conv.router"
    return found


source = Source(
    layers=MappingProxyType({"route_func+CondConv2d": LAYER}),
    presets=MappingProxyType({"cond_mobilenetv2": Preset(cond_mobilenetv2, places, INSIDE)}),
)
