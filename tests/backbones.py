"""A small architecture of each backbone, for tests that run over all backbones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dcdnas.core.architecture import Architecture
from dcdnas.networks import networks

NETWORKS = sorted(networks)

SMALL: dict[str, dict[str, Any]] = {
    "mobilenetv2": {"expansion": (1, 4), "stem_stride": 1, "head_channels": 32},
    "mobilenetv3": {"expansion": (1, 4), "stem_stride": 1, "head_channels": 32, "embedding": 24},
    "nas-bench-macro": {"block": "ir-3x3-t3", "head_channels": 32},
    "resnet": {"stem": "small"},
    "shufflenetv2": {"stem": "small", "head_channels": 32},
}


def small(network: str, **given: Any) -> Architecture:
    """An architecture of two stages with two blocks each, for 12x12 pixels."""
    settings = {"channels": (8, 16), "depth": 2, "strides": (1, 2), "stem_channels": 8, **SMALL[network], **given}
    return Architecture(network, settings, {}, (3, 12, 12), 5)


def dense(network: str, **given: Any) -> Architecture:
    """The architecture of `small` with a decoder of 16 channels."""
    return replace(small(network, **{"decoder_channels": 16, **given}), head="decoder")
