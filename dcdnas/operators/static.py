"""Static convolution: the ordinary Conv2d, with one kernel for all inputs. Every dynamic convolution is compared with it.

Reference: `torch.nn.Conv2d`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.operators._base import Operator
from dcdnas.operators._mixture import CLASSIFIER_STD, static_std
from dcdnas.operators._norm import folded_bias

__all__ = ["Static"]


class Static(Operator):
    """y = W * x (+ b), with W of shape (D, C/groups, k, k).

    The kernel is initialised with Kaiming's normal distribution by fan-out, as in the published MobileNetV2 and ResNet.
    """

    PUBLISHED_FORM = ""

    def __init__(self, *place: Any, **others: Any) -> None:
        super().__init__(*place, **others)
        self.weight, self.bias = self._fresh_kernel(), self._fresh_bias()
        nn.init.normal_(self.weight, std=static_std(self.geometry))

    @classmethod
    def classifier(cls, geometry: ConvGeometry, form: str = "", **settings: Setting) -> nn.Linear:
        """Builds a linear layer with bias, initialised with small weights."""
        cls.checked_form(geometry, cls.resolve(geometry, **settings), form)
        linear = nn.Linear(geometry.in_channels, geometry.out_channels)
        nn.init.normal_(linear.weight, std=CLASSIFIER_STD)
        nn.init.zeros_(linear.bias)
        return linear

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds of the convolution: H' W' D C/g k^2."""
        return geometry.out_pixels * geometry.weights

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Returns 0, because a static convolution has no controller."""
        return 0

    def as_conv2d(self) -> nn.Conv2d:
        """Returns the same convolution as a `torch.nn.Conv2d` that shares the parameters."""
        g = self.geometry
        sizes = (g.in_channels, g.out_channels, g.kernel_size, g.stride, self.padding[0], g.dilation, g.groups)
        conv = nn.Conv2d(*sizes, bias=self.bias is not None, device="meta")
        conv.weight, conv.bias = self.weight, self.bias
        return conv.train(self.training)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Copies the kernel and the bias."""
        self.weight.copy_(kernel)
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into the kernel and the bias."""
        self.weight.mul_(scale.view(-1, 1, 1, 1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, D, H', W')."""
        return self._convolve(x, self.weight, self.bias)
