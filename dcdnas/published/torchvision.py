"""Static networks under their torchvision names, MobileNetV3 and ShuffleNetV2; they load torchvision's checkpoints.

The presets ``odconv/base_*`` are torchvision's MobileNetV2 and ResNets and load their checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from dcdnas.core.architecture import Architecture
from dcdnas.published._base import Source
from dcdnas.published._preset import Preset, mobilenetv3_places, shufflenetv2_places, static_network

__all__ = ["source"]


def mobilenet_v3(variant: str) -> Callable[..., Architecture]:
    """The static MobileNetV3, in its large or small variant."""

    def make(*, num_classes: int = 1000, input_size: int = 224, dropout: float | None = 0.2) -> Architecture:
        return static_network("mobilenetv3", {"variant": variant, "dropout": dropout}, num_classes, input_size)

    return make


def shufflenet_v2(channels: tuple[int, int, int], head: int = 1024) -> Callable[..., Architecture]:
    """The static ShuffleNetV2, at one of its published widths."""

    def make(*, num_classes: int = 1000, input_size: int = 224) -> Architecture:
        return static_network("shufflenetv2", {"channels": channels, "head_channels": head}, num_classes, input_size)

    return make


source = Source(
    presets=MappingProxyType(
        {
            "mobilenet_v3_large": Preset(mobilenet_v3("large"), mobilenetv3_places),
            "mobilenet_v3_small": Preset(mobilenet_v3("small"), mobilenetv3_places),
            "shufflenet_v2_x0_5": Preset(shufflenet_v2((48, 96, 192)), shufflenetv2_places),
            "shufflenet_v2_x1_0": Preset(shufflenet_v2((116, 232, 464)), shufflenetv2_places),
            "shufflenet_v2_x1_5": Preset(shufflenet_v2((176, 352, 704)), shufflenetv2_places),
            "shufflenet_v2_x2_0": Preset(shufflenet_v2((244, 488, 976), head=2048), shufflenetv2_places),
        }
    )
)
