"""The layer of the code published with ODConv (github.com/OSVAI/ODConv)."""

from __future__ import annotations

from types import MappingProxyType

from dcdnas.operators.odconv import ODConv
from dcdnas.published._base import PublishedLayer, Source

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
    """The published layer, at a temperature that its own state does not hold."""
    return ODConv(
        in_planes,
        out_planes,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        num_kernels=kernel_num,
        reduction=1 / reduction,
        gates="sigmoid",
        temperature=temperature,
    )


source = Source(
    layers=MappingProxyType(
        {
            "ODConv2d": PublishedLayer(
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
        }
    ),
)
