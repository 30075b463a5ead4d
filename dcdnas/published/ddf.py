"""The layer and the networks of the code published with decoupled dynamic filters (github.com/theFoxofSky/ddfnet)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from dcdnas.core.architecture import Architecture
from dcdnas.operators.ddf import DDF
from dcdnas.published._base import Source
from dcdnas.published._layer import PublishedLayer, inverse
from dcdnas.published._preset import RESNETS, Preset, resnet_places, static_network, with_operator

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
    """Builds the published layer, which keeps the number of channels and, at stride 1, the size of the map."""
    return DDF(
        in_channels,
        in_channels,
        kernel_size,
        stride,
        dilation * (kernel_size // 2),
        dilation,
        kernel_combine=kernel_combine,
        head=head,
        reduction=inverse("se_ratio", se_ratio),
    )


LAYER = PublishedLayer(
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


def ddf_resnet(layers: int) -> Callable[..., Architecture]:
    """ResNet with DDF in place of the 3x3 convolution of every bottleneck."""

    def make(
        *, kernel_combine: str = "mul", se_ratio: float = 0.2, num_classes: int = 1000, input_size: int = 224
    ) -> Architecture:
        static = static_network("resnet", RESNETS[layers], num_classes, input_size)
        settings = {"kernel_combine": kernel_combine, "reduction": inverse("se_ratio", se_ratio)}
        return with_operator(static, "ddf", lambda slot: settings if slot.role == "spatial" else None)

    return make


source = Source(
    layers=MappingProxyType({"DDFPack": LAYER}),
    presets=MappingProxyType({f"ddf_resnet{n}": Preset(ddf_resnet(n), resnet_places, LAYER) for n in (50, 101)}),
)
