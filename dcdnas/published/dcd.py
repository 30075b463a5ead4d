"""The layers and networks of the code published with DCD (github.com/liyunsheng13/dcd)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.networks import Slot, slots_of
from dcdnas.operators.dcd import DCD, DCDLinear
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer
from dcdnas.published._preset import RESNETS, Preset, mobilenetv2_places, resnet_places, static_network, with_operator

__all__ = ["source"]


def dy_module(*, inp: int, oup: int, fc_squeeze: int = 8) -> DCD:
    """Builds the 1x1 convolution of MobileNetV2."""
    return DCD(inp, oup, 1, variant="code", rule="pointwise", reduction=fc_squeeze)


def conv_dy(*, inplanes: int, planes: int, kernel_size: int, stride: int, padding: int) -> DCD:
    """Builds a convolution of ResNet's bottlenecks."""
    return DCD(inplanes, planes, kernel_size, stride, padding, variant="code", rule="bottleneck")


def conv_basic_dy(*, inplanes: int, planes: int, stride: int) -> DCD:
    """Builds a 3x3 convolution of ResNet's basic blocks."""
    return DCD(inplanes, planes, 3, stride, 1, variant="code", rule="basic")


def dy_cls(*, inp: int, oup: int) -> DCDLinear:
    """Builds the classifier."""
    return DCD.classifier(ConvGeometry(inp, oup))


def _names(weight: str, bias: str, q: str, p: str) -> Mapping[str, str]:
    return MappingProxyType(
        {
            f"{weight}.weight": "weight",
            **({f"{bias}.bias": "bias"} if bias else {}),
            f"{q}.weight": "residual.q",
            f"{p}.weight": "residual.p",
            "bn1": "residual.norm_q",
            "bn2": "residual.norm_phi",
            "fc.0": "controller.squeeze",
            "fc.1.fc.0": "controller.gate",
            "fc_phi": "controller.phi",
            "fc_scale": "controller.scale",
        }
    )


LAYERS: Mapping[str, PublishedLayer] = MappingProxyType(
    {
        "DYModule": PublishedLayer(dy_module, _names("conv", "", "conv_q", "conv_p")),
        "conv_dy": PublishedLayer(conv_dy, _names("conv", "", "q", "p")),
        "conv_basic_dy": PublishedLayer(conv_basic_dy, _names("conv", "", "q", "p")),
        "DYCls": PublishedLayer(dy_cls, _names("cls", "cls", "cls_q", "cls_p")),
    }
)

ANY_LAYER = PublishedLayer(dy_module, {k: v for layer in LAYERS.values() for k, v in layer.names.items()})
"""The names of all layers combined; they do not contradict each other."""


def mobilenetv2_dcd(
    *, width_mult: float = 1.0, fc_squeeze: int = 8, num_classes: int = 1000, input_size: int = 224, dropout: float | None = 0.2
) -> Architecture:
    """MobileNetV2 with DCD in the 1x1 convolutions of all blocks that have an expansion, and in the classifier."""
    static = static_network("mobilenetv2", {"width": width_mult, "dropout": dropout}, num_classes, input_size)
    expanded = {s.block for s in slots_of(static) if s.role == "expand"}

    def choose(slot: Slot) -> Mapping[str, Setting] | None:
        if slot.kind == "linear":
            return CLASSIFIER
        pointwise = slot.block in expanded and slot.role != "depthwise"
        return {"variant": "code", "rule": "pointwise", "reduction": fc_squeeze} if pointwise else None

    return with_operator(static, "dcd", choose)


def resnet_dcd(layers: int) -> Callable[..., Architecture]:
    """ResNet with DCD in all convolutions inside the blocks and in the classifier; stem and shortcuts are static."""

    def make(*, num_classes: int = 1000, input_size: int = 224, dropout: float | None = 0.1) -> Architecture:
        settings = {**RESNETS[layers], "dropout": dropout}
        rule = "basic" if settings["block"] == "basic" else "bottleneck"

        def choose(slot: Slot) -> Mapping[str, Setting] | None:
            if slot.kind == "linear":
                return CLASSIFIER
            return None if slot.role in ("stem", "shortcut") else {"variant": "code", "rule": rule}

        return with_operator(static_network("resnet", settings, num_classes, input_size), "dcd", choose)

    return make


CLASSIFIER: Mapping[str, Setting] = {"variant": "code", "rule": "classifier"}

source = Source(
    layers=LAYERS,
    presets=MappingProxyType(
        {
            "mobilenetv2_dcd": Preset(mobilenetv2_dcd, mobilenetv2_places(nested=False), ANY_LAYER),
            "resnet18_dcd": Preset(resnet_dcd(18), resnet_places, ANY_LAYER),
            "resnet34_dcd": Preset(resnet_dcd(34), resnet_places, ANY_LAYER),
            "resnet50_dcd": Preset(resnet_dcd(50), resnet_places, ANY_LAYER),
            "resnet101_dcd": Preset(resnet_dcd(101), resnet_places, ANY_LAYER),
        }
    ),
)
