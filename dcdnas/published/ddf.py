"""The layer of the code published with decoupled dynamic filters (github.com/theFoxofSky/ddfnet)."""

from __future__ import annotations

from types import MappingProxyType

from dcdnas.operators.ddf import DDF
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer

__all__ = ["source"]


def ddf_pack(
    *,
    in_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    dilation: int = 1,
    head: int = 1,
    se_ratio: float = 0.2,
    kernel_combine: str = "mul",
) -> DDF:
    """The published layer: as many channels out as in, and a padding that keeps the map's size at stride 1."""
    return DDF(
        in_channels,
        in_channels,
        kernel_size,
        stride,
        dilation * (kernel_size // 2),
        dilation,
        kernel_combine=kernel_combine,
        head=head,
        reduction=1 / se_ratio,
    )


source = Source(
    layers=MappingProxyType(
        {
            "DDFPack": PublishedLayer(
                ddf_pack,
                MappingProxyType(
                    {
                        "spatial_branch.0": "spatial",
                        "channel_branch.1": "squeeze",
                        "channel_branch.3": "excite",
                        "channel_branch.4.std": "scale",
                    }
                ),
            )
        }
    ),
)
