"""The layer of the dynamic-convolution code that published comparisons used (kaijieshi7/Dynamic-convolution-Pytorch)."""

from __future__ import annotations

from types import MappingProxyType

from dcdnas.operators.dyconv import DyConv
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer

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
    """The published layer, at a temperature that its own state does not hold."""
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
        reduction=1 / ratio,
        temperature=temperature,
    )


source = Source(
    layers=MappingProxyType(
        {
            "Dynamic_conv2d": PublishedLayer(
                dynamic_conv2d,
                MappingProxyType(
                    {"weight": "weight", "bias": "bias", "attention.fc1": "squeeze", "attention.fc2": "excite"},
                ),
            )
        }
    ),
)
