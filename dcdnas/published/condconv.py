"""The layer of a published CondConv code (github.com/d-li14/condconv.pytorch), together with its router."""

from __future__ import annotations

from types import MappingProxyType

from dcdnas.operators.condconv import CondConv
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer

__all__ = ["source"]


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
    """A convolution with a router of its own, which looks at the convolution's input."""
    return CondConv(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, num_experts=num_experts)


source = Source(
    layers=MappingProxyType(
        {
            "route_func+CondConv2d": PublishedLayer(
                routed_cond_conv2d,
                MappingProxyType({"route.fc": "router.fc", "conv.weight": "weight", "conv.bias": "bias"}),
            )
        }
    ),
)
