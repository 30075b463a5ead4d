"""The inverted residual of MobileNetV2 and its successors, as numbers and as a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.slot import Slot
from dcdnas.networks._activations import with_activation
from dcdnas.networks._base import Places, gate_slot, through


class InvertedPlan(NamedTuple):
    """One inverted residual as numbers.

    Args:
        name: of the block.
        in_channels: of its input.
        middle: channels of the depthwise convolution.
        out_channels: of its output.
        kernel_size: of the depthwise convolution.
        stride: of the depthwise convolution.
        height: of the input map.
        width: of the input map.
        se: share of the middle's channels that the gate squeezes to; 0 for no gate.
        activation: after `expand` and after `depthwise`.
        gate: the gate's last activation.
    """

    name: str
    in_channels: int
    middle: int
    out_channels: int
    kernel_size: int
    stride: int
    height: int
    width: int
    se: float
    activation: str
    gate: str = "sigmoid"

    def slots(self) -> Iterator[Slot]:
        """Yields the convolutions, dynamic activations and the gate; without `expand` if the middle is as wide as the input."""
        size = {"height": self.height, "width": self.width}
        if self.middle != self.in_channels:
            expand = ConvGeometry(self.in_channels, self.middle, **size)
            yield from with_activation(f"{self.name}.expand", expand, self.activation)
        depthwise = ConvGeometry(self.middle, self.middle, self.kernel_size, self.stride, self.middle, **size)
        yield from with_activation(f"{self.name}.depthwise", depthwise, self.activation)
        yield from gate_slot(self.name, self.se, depthwise, self.gate)
        size = {"height": depthwise.out_height, "width": depthwise.out_width}
        yield Slot(f"{self.name}.project", ConvGeometry(self.middle, self.out_channels, **size))


class InvertedResidual(nn.Module):
    """project(se(depthwise(expand(x)))), plus x if input and output have the same shape."""

    def __init__(self, places: Places, name: str) -> None:
        super().__init__()
        self.expand = places.fill(f"{name}.expand")
        self.expand_activation = places.fill(f"{name}.expand_activation")
        self.depthwise = places.fill(f"{name}.depthwise")
        self.depthwise_activation = places.fill(f"{name}.depthwise_activation")
        self.se = places.fill(f"{name}.se")
        self.project = places.fill(f"{name}.project")
        first = f"{name}.expand" if f"{name}.expand" in places else f"{name}.depthwise"
        same_channels = places.geometry(first).in_channels == places.geometry(f"{name}.project").out_channels
        self.residual = same_channels and places.geometry(f"{name}.depthwise").stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        inner = (self.expand, self.expand_activation, self.depthwise, self.depthwise_activation)
        y = through(x, *inner, self.se, self.project)
        return x + y if self.residual else y
