"""Guides: tensors that a block computes once from its input and passes to all its layers, which then do not compute their own.

CondConv's routing weights, DY-Conv's hidden units, DRConv's regions and WeightNet's reduced features can be shared in this way.
An operator class that accepts a guide has ``guide(channels, settings)``, which builds the block's module, and a constructor
argument ``guide_channels``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from dcdnas.core.geometry import Setting
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators._arguments import traced


class Guide(nn.Module):
    """Base class of the modules that compute a guide from the block's input (N, C, H, W).

    Args:
        out_channels: size of the guide's second axis, which the layers receive as ``guide_channels``.
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels


def width_of(make: Callable[[int, Mapping[str, Setting]], Guide], channels: int, settings: Mapping[str, Setting]) -> int:
    """Number of channels of the guide that an operator's `guide` builds, which is the layers' ``guide_channels``.

    The module is built on the meta device, so that no random numbers are drawn.

    Args:
        make: the operator's `guide`.
        channels: of the block's input.
        settings: the resolved settings of the block's first layer.
    """
    with torch.device("meta"):
        return make(channels, settings).out_channels


def check_width(operator: str, setting: str, channels: int, guide_channels: int) -> None:
    """Raises GeometryError if a guide does not have the number of channels that the operator's setting requires."""
    if guide_channels != channels:
        raise GeometryError(f"{operator} with {setting}={channels} takes a guide of {channels} channels, not {guide_channels}.")


def given(guide: Tensor | None, operator: nn.Module, channels: int, x: Tensor) -> Tensor:
    """Returns the guide that a block passes to a layer with its input x, after checking its shape (N, channels, ...).

    Exporters and compilers cannot branch on sizes; under them the shape is not checked.

    Raises:
        UsageError: if there is no guide, or its shape does not fit.
    """
    if guide is None:
        name = type(operator).__name__
        raise UsageError(
            f"{name} was made with guide_channels={channels} and needs its block's guide of shape (N, {channels}, ...). "
            f"Pass the output of the module that {name}.guide(channels, settings) builds, or leave guide_channels out."
        )
    if not traced() and guide.shape[:2] != (len(x), channels):
        raise UsageError(
            f"{type(operator).__name__}: the guide is {tuple(guide.shape)} for an input of {tuple(x.shape)}. "
            f"Allowed: ({len(x)}, {channels}, ...)."
        )
    return guide
