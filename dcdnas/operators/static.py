"""The ordinary convolution: one kernel for every input. What every dynamic convolution is compared with.

Reference: `torch.nn.Conv2d`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.operators._base import Operator
from dcdnas.operators._mixture import static_std
from dcdnas.operators._norm import folded_bias

__all__ = ["Static"]


class Static(Operator):
    """y = W * x (+ b), with W of shape (D, C/groups, k, k).

    Initialised with Kaiming's normal distribution over the fan-out, as both MobileNetV2 and ResNet publish it.
    """

    PUBLISHED_FORM = ""

    def __init__(self, *place: Any, **others: Any) -> None:
        super().__init__(*place, **others)
        self.weight, self.bias = self._fresh_kernel(), self._fresh_bias()
        nn.init.normal_(self.weight, std=static_std(self.geometry))

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

    def as_conv2d(self) -> nn.Conv2d:
        """The same convolution as one of torch's own, with the same parameters."""
        g = self.geometry
        sizes = (g.in_channels, g.out_channels, g.kernel_size, g.stride, self.padding[0], g.dilation, g.groups)
        conv = nn.Conv2d(*sizes, bias=self.bias is not None, device="meta")
        conv.weight, conv.bias = self.weight, self.bias
        return conv.train(self.training)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """With its kernel and bias."""
        self.weight.copy_(kernel)
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Into the kernel and a bias."""
        self.weight.mul_(scale.view(-1, 1, 1, 1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        return self._convolve(x, self.weight, self.bias)
