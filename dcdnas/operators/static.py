"""The ordinary convolution: one kernel for every input. What every dynamic convolution is compared with.

Reference: `torch.nn.Conv2d`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.operators._base import Operator
from dcdnas.operators._norm import folded_bias

__all__ = ["Static"]


class Static(Operator):
    """y = W * x (+ b), with W of shape (D, C/groups, k, k).

    Initialised with Kaiming's normal distribution over the fan-out, as both MobileNetV2 and ResNet publish it.
    """

    PUBLISHED_FORM = ""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        fan_out = out_channels // groups * kernel_size**2
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / fan_out))

    @classmethod
    def classifier(cls, geometry: ConvGeometry, form: str = "", **settings: Setting) -> nn.Linear:
        """A linear layer with bias, from small weights."""
        cls.checked_form(geometry, cls.resolve(geometry, **settings), form)
        linear = nn.Linear(geometry.in_channels, geometry.out_channels)
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)
        return linear

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """H' W' D C/g k^2."""
        return geometry.out_pixels * geometry.weights

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Nothing controls it."""
        return 0

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Into the kernel and a bias."""
        self.weight.mul_(scale.view(-1, 1, 1, 1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        g = self.geometry
        return F.conv2d(x, self.weight, self.bias, g.stride, self.padding, g.dilation, g.groups)
