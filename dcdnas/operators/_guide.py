"""Guides: what a block computes once from its input and hands to all its layers, in place of each layer's own.

CondConv's routing weights, DRConv's regions and WeightNet's reduced features can be shared in this way. An operator class that
can be guided has ``guide(channels, settings)``, which makes the block's module, and takes ``guide_channels`` of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from dcdnas.core.geometry import Setting
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators._arguments import traced


class Guide(nn.Module):
    """Base of the modules that make a guide from the block's input (N, C, H, W).

    Args:
        out_channels: size of the guide's second axis, which is the layers' ``guide_channels``.
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels


def width_of(make: Callable[[int, Mapping[str, Setting]], Guide], channels: int, settings: Mapping[str, Setting]) -> int:
    """Channels of the guide that an operator's `guide` would make, its layers' ``guide_channels``; nothing is drawn at random.

    Args:
        make: the operator's `guide`.
        channels: of the block's input.
        settings: resolved, of the block's first layer.
    """
    with torch.device("meta"):
        return make(channels, settings).out_channels


def check_width(operator: str, setting: str, channels: int, guide_channels: int) -> None:
    """Raises GeometryError for a guide that has not as many channels as that setting of the operator says."""
    if guide_channels != channels:
        raise GeometryError(f"{operator} with {setting}={channels} takes a guide of {channels} channels, not {guide_channels}.")


def given(guide: Tensor | None, operator: nn.Module, channels: int, x: Tensor) -> Tensor:
    """The guide that a block passes to a layer beside its input x; (N, channels, ...) for the same N.

    Raises:
        UsageError: when there is none, or one of another size; exporters and compilers cannot ask for sizes.
    """
    if guide is None:
        name = type(operator).__name__
        raise UsageError(
            f"{name} was made with guide_channels={channels} and waits for its block's guide of shape (N, {channels}, ...). "
            f"Pass what the module from {name}.guide(channels, settings) gives, or leave guide_channels out."
        )
    if not traced() and guide.shape[:2] != (len(x), channels):
        raise UsageError(
            f"{type(operator).__name__}: the guide is {tuple(guide.shape)} for an input of {tuple(x.shape)}. "
            f"Allowed: ({len(x)}, {channels}, ...)."
        )
    return guide
