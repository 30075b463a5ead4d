"""The layers of the code published with DCD (github.com/liyunsheng13/dcd)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dcdnas.operators.dcd import DCD, DCDLinear
from dcdnas.published._base import PublishedLayer, Source
from dcdnas.records import ConvGeometry

__all__ = ["source"]


def dy_module(*, inp: int, oup: int, fc_squeeze: int = 8) -> DCD:
    """MobileNetV2's 1x1 convolution."""
    return DCD(inp, oup, 1, variant="code", rule="pointwise", reduction=fc_squeeze)


def conv_dy(*, inplanes: int, planes: int, kernel_size: int, stride: int, padding: int) -> DCD:
    """The convolutions of ResNet's bottlenecks."""
    return DCD(inplanes, planes, kernel_size, stride, padding, variant="code", rule="bottleneck")


def conv_basic_dy(*, inplanes: int, planes: int, stride: int) -> DCD:
    """The 3x3 convolutions of ResNet's basic blocks."""
    return DCD(inplanes, planes, 3, stride, 1, variant="code", rule="basic")


def dy_cls(*, inp: int, oup: int) -> DCDLinear:
    """The classifier."""
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


source = Source(
    layers=MappingProxyType(
        {
            "DYModule": PublishedLayer(dy_module, _names("conv", "", "conv_q", "conv_p")),
            "conv_dy": PublishedLayer(conv_dy, _names("conv", "", "q", "p")),
            "conv_basic_dy": PublishedLayer(conv_basic_dy, _names("conv", "", "q", "p")),
            "DYCls": PublishedLayer(dy_cls, _names("cls", "cls", "cls_q", "cls_p")),
        }
    ),
)
