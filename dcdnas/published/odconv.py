"""The layer and networks of the code published with ODConv (github.com/OSVAI/ODConv)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Setting
from dcdnas.networks import Slot
from dcdnas.operators.odconv import ODConv
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer, inverse
from dcdnas.published._preset import RESNETS, Preset, mobilenetv2_places, resnet_places, static_network, with_operator

__all__ = ["source"]


def od_conv2d(
    *,
    in_planes: int,
    out_planes: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    reduction: float = 0.0625,
    kernel_num: int = 4,
    temperature: float = 1.0,
) -> ODConv:
    """Builds the published layer; the temperature is an argument, because the published state dict does not hold it."""
    return ODConv(
        in_planes,
        out_planes,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        num_kernels=kernel_num,
        reduction=inverse("reduction", reduction),
        gates="sigmoid",
        temperature=temperature,
    )


LAYER = PublishedLayer(
    od_conv2d,
    MappingProxyType(
        {
            "weight": "weight",
            "attention.fc": "attention.squeeze",
            "attention.bn": "attention.norm",
            "attention.channel_fc": "attention.channel",
            "attention.filter_fc": "attention.filter",
            "attention.spatial_fc": "attention.spatial",
            "attention.kernel_fc": "attention.kernel",
        }
    ),
)


def base_mobilenetv2(
    *, width: float = 1.0, num_classes: int = 1000, input_size: int = 224, dropout: float | None = 0.2
) -> Architecture:
    """The static MobileNetV2 with which the dynamic one is compared."""
    return static_network("mobilenetv2", {"width": width, "dropout": dropout}, num_classes, input_size)


def od_mobilenetv2(
    *,
    width: float = 1.0,
    n: int = 1,
    r: float = 0.0625,
    num_classes: int = 1000,
    input_size: int = 224,
    dropout: float | None = 0.2,
) -> Architecture:
    """MobileNetV2 with ODConv in all layers except the stem and the classifier."""
    static = base_mobilenetv2(width=width, num_classes=num_classes, input_size=input_size, dropout=dropout)
    return with_operator(static, "odconv", lambda slot: _settings(n, r) if _inside(slot) else None)


def base_resnet(layers: int) -> Callable[..., Architecture]:
    """The static ResNet with which the dynamic one is compared."""

    def make(*, num_classes: int = 1000, input_size: int = 224, dropout: float | None = 0.1) -> Architecture:
        return static_network("resnet", {**RESNETS[layers], "dropout": dropout}, num_classes, input_size)

    return make


def od_resnet(layers: int) -> Callable[..., Architecture]:
    """ResNet with ODConv in all convolutions inside the blocks; stem, shortcuts and classifier are static."""

    def make(
        *, n: int = 1, r: float = 0.0625, num_classes: int = 1000, input_size: int = 224, dropout: float | None = 0.1
    ) -> Architecture:
        static = base_resnet(layers)(num_classes=num_classes, input_size=input_size, dropout=dropout)
        return with_operator(static, "odconv", lambda slot: _settings(n, r) if _inside(slot) else None)

    return make


def _inside(slot: Slot) -> bool:
    return slot.kind == "conv" and slot.role not in ("stem", "shortcut")


def _settings(n: int, r: float) -> dict[str, Setting]:
    return {"num_kernels": n, "reduction": inverse("r", r), "gates": "sigmoid"}


_MOBILENET = mobilenetv2_places(nested=True)

source = Source(
    layers=MappingProxyType({"ODConv2d": LAYER}),
    presets=MappingProxyType(
        {
            "od_mobilenetv2": Preset(od_mobilenetv2, _MOBILENET, LAYER),
            "od_resnet18": Preset(od_resnet(18), resnet_places, LAYER),
            "od_resnet34": Preset(od_resnet(34), resnet_places, LAYER),
            "od_resnet50": Preset(od_resnet(50), resnet_places, LAYER),
            "od_resnet101": Preset(od_resnet(101), resnet_places, LAYER),
            "base_mobilenetv2": Preset(base_mobilenetv2, _MOBILENET),
            "base_resnet18": Preset(base_resnet(18), resnet_places),
            "base_resnet34": Preset(base_resnet(34), resnet_places),
            "base_resnet50": Preset(base_resnet(50), resnet_places),
            "base_resnet101": Preset(base_resnet(101), resnet_places),
        }
    ),
)
