"""The modules of slots for which no operator is chosen: how each kind is made, and its multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.breakdown import Parts
from dcdnas.core.slot import Slot
from dcdnas.networks._excite import SqueezeExcite
from dcdnas.networks._hamburger import DECOMPOSITIONS, STEPS, Hamburger
from dcdnas.operators import DDFUp, DynamicActivation, dynamic_activations

TAPS = 4
"""Input pixels that bilinear interpolation weights for each output pixel."""


VARIANTS = frozenset(f"{name}-{steps}" for name in DECOMPOSITIONS for steps in range(1, STEPS + 1))
"""The allowed values of a hamburger's `Slot.variant`."""


class Bilinear(nn.Module):
    """Bilinear interpolation to a map with sides `scale` times as long; it has no parameters."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, s H, s W)."""
        return F.interpolate(x, scale_factor=float(self.scale), mode="bilinear", align_corners=False)

    def extra_repr(self) -> str:
        """Returns the scale, so that a printed network shows it."""
        return f"scale={self.scale}"


class Fixed(NamedTuple):
    """A kind of slot for which no operator is chosen.

    Args:
        make: makes the module of a slot.
        parts: returns the multiply-adds of a slot at batch 1.
    """

    make: Callable[[Slot], nn.Module]
    parts: Callable[[Slot], Parts]


def _bilinear_parts(slot: Slot) -> Parts:
    g = slot.geometry
    return Parts(TAPS * g.in_channels * g.stride**2 * g.out_pixels)


def _ddf_up_parts(slot: Slot) -> Parts:
    g = slot.geometry
    return DDFUp.parts(g.in_channels, g.stride, g.out_pixels)


def _gate_parts(slot: Slot) -> Parts:
    g = slot.geometry
    return Parts(0, g.in_channels * g.height * g.width, SqueezeExcite.controlling(g.in_channels, g.out_channels))


def _gate(slot: Slot) -> nn.Module:
    return SqueezeExcite(slot.geometry.in_channels, slot.geometry.out_channels, hard=slot.activation == "hardsigmoid")


def _hamburger_parts(slot: Slot) -> Parts:
    return Hamburger.parts(slot.geometry, *_decomposition(slot))


def _hamburger(slot: Slot) -> nn.Module:
    return Hamburger(slot.geometry, *_decomposition(slot))


def _dynamic(activation: type[DynamicActivation]) -> Fixed:
    """A dynamic activation: its geometry goes from the channels to the number that they are squeezed to."""

    def parts(slot: Slot) -> Parts:
        g = slot.geometry
        return activation.parts(g.in_channels, g.out_channels, g.height * g.width)

    return Fixed(lambda slot: activation(slot.geometry.in_channels, slot.geometry.out_channels), parts)


def _decomposition(slot: Slot) -> tuple[str, int]:
    """Returns the name of a hamburger's decomposition and its number of steps."""
    name, _, steps = slot.variant.partition("-")
    return name, int(steps)


def _pixel_linear(slot: Slot) -> nn.Module:
    return nn.Conv2d(slot.geometry.in_channels, slot.geometry.out_channels, 1)


FIXED: Mapping[str, Fixed] = {
    "gate": Fixed(_gate, _gate_parts),
    "hamburger": Fixed(_hamburger, _hamburger_parts),
    "pixel-linear": Fixed(_pixel_linear, lambda slot: Parts(slot.geometry.out_pixels * slot.geometry.weights)),
    "bilinear": Fixed(lambda slot: Bilinear(slot.geometry.stride), _bilinear_parts),
    **{kind: _dynamic(activation) for kind, activation in dynamic_activations.items()},
    "ddf-up": Fixed(lambda slot: DDFUp(slot.geometry.in_channels, slot.geometry.stride), _ddf_up_parts),
}


def fixed_parts(slot: Slot) -> Parts:
    """Returns the multiply-adds at batch 1 of a slot for which no operator is chosen."""
    return FIXED[slot.kind].parts(slot)
