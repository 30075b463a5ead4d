"""The activations that a network may have. Static ones are not counted in multiply-adds; dynamic ones are slots, which are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from torch import nn

from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.slot import DYNAMIC_ACTIVATIONS, Slot
from dcdnas.operators import DynamicActivation

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "": nn.Identity,
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
    "hardswish": partial(nn.Hardswish, inplace=True),
    "silu": partial(nn.SiLU, inplace=True),
    "gelu": nn.GELU,
}

SEARCHED_ACTIVATIONS = ("relu", "relu6", "hardswish", "silu", "gelu", *DYNAMIC_ACTIVATIONS)
"""The allowed values of a backbone's setting `activation`."""


def with_activation(name: str, geometry: ConvGeometry, activation: str) -> Iterator[Slot]:
    """Yields the slot of a convolution, and behind it that of its activation if the activation is dynamic."""
    yield Slot(name, geometry, activation="" if activation in DYNAMIC_ACTIVATIONS else activation)
    yield from activation_slot(f"{name}_activation", geometry, activation)


def activation_slot(name: str, geometry: ConvGeometry, activation: str) -> Iterator[Slot]:
    """Yields the slot of a dynamic activation after a convolution with this geometry; none for a static activation."""
    if activation in DYNAMIC_ACTIVATIONS:
        channels, size = geometry.out_channels, {"height": geometry.out_height, "width": geometry.out_width}
        yield Slot(name, ConvGeometry(channels, DynamicActivation.squeezed(channels), **size), activation)
