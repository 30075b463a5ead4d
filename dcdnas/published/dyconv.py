"""The layer and the network of github.com/kaijieshi7/Dynamic-convolution-Pytorch, used in published comparisons with DY-Conv."""

from __future__ import annotations

from types import MappingProxyType

from dcdnas.core.architecture import Architecture
from dcdnas.operators.dyconv import DyConv
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer, inverse
from dcdnas.published._preset import RESNETS, Preset, resnet_places, static_network, with_operator

__all__ = ["source"]


def dynamic_conv2d(
    *,
    in_planes: int,
    out_planes: int,
    kernel_size: int,
    ratio: float = 0.25,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    K: int = 4,
    temperature: float = 34.0,
) -> DyConv:
    """Builds the published layer; the temperature is an argument, because the published state dict does not hold it."""
    return DyConv(
        in_planes,
        out_planes,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        bias,
        num_kernels=K,
        reduction=inverse("ratio", ratio),
        temperature=temperature,
    )


LAYER = PublishedLayer(
    dynamic_conv2d,
    MappingProxyType({"weight": "weight", "bias": "bias", "attention.fc1": "squeeze", "attention.fc2": "excite"}),
)


def dy_resnet18(*, K: int = 4, num_classes: int = 1000, input_size: int = 224) -> Architecture:
    """ResNet-18 with DY-Conv in all convolutions except the stem, including the shortcuts."""
    static = static_network("resnet", RESNETS[18], num_classes, input_size)
    settings = {"num_kernels": K, "reduction": 4}
    return with_operator(static, "dyconv", lambda slot: settings if slot.kind == "conv" and slot.role != "stem" else None)


source = Source(
    layers=MappingProxyType({"Dynamic_conv2d": LAYER}),
    presets=MappingProxyType({"dy_resnet18": Preset(dy_resnet18, resnet_places, LAYER)}),
)
