"""Selective kernel (SK): two receptive fields, blended for each input and output channel by a softmax.

The paper claims that neurons should adapt the size of their receptive field to the input, and that a softmax over branches
of different dilation, computed from their pooled sum, does so cheaply. SK differs from DY-Conv in that the weights differ by
output channel and select between two receptive fields, not between kernels with the same one.

Letters: N batch, C input channels, D output channels, H W map, k kernel size, d hidden units, r reduction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.errors import GeometryError
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._base import Operator
from dcdnas.operators._mixture import start_each_as_static
from dcdnas.operators._norm import BatchNorm, absorbed, folded_bias
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import product

__all__ = ["SK"]


class SK(Operator):
    """y = a(x) U1 + (1 - a(x)) U2, U1 = W1 * x, U2 = W2 * x at twice the dilation, a softmax over the two, for each channel.

    a = softmax(A z, B z) with z = ReLU(BN(FC(GAP(U1 + U2)))). A softmax over two values is the sigmoid of their difference, so
    the selection costs one matrix product (A - B) z and one multiplication per output element.

    Args:
        *place: C, D, k and more, as in Conv2d.
        reduction: r; there are d = max(D // r, least_hidden) hidden units.
        least_hidden: lower bound of d; 32 in the paper.
        init: each branch is initialised as a static convolution. ``static``: both have the weight 1/2 for any input;
            ``published``: the selection is random.

    Raises:
        GeometryError: if k is even or 1.

    Departures:
        The published unit has BatchNorm and ReLU inside each branch. An operator replaces a convolution, whose outputs may be
        negative, so the branches here are linear, and the slot's BatchNorm and activation follow the selection.

    Reference:
        Li, Wang, Hu, Yang: Selective Kernel Networks. CVPR 2019, arXiv 1903.06586, equations 1-6.
    """

    REFERENCE = Reference(
        "li2019selective",
        "Li, Xiang and Wang, Wenhai and Hu, Xiaolin and Yang, Jian",
        "Selective Kernel Networks", "CVPR", 2019, "1903.06586",
    )  # fmt: skip

    ADDS_BIAS = True

    reduction: int
    least_hidden: int

    def __init__(
        self,
        *place: Any,
        reduction: Annotated[int, Choice(at_least=1)] = 16,
        least_hidden: Annotated[int, Choice(at_least=1)] = 32,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(reduction=reduction, least_hidden=least_hidden)
        self.near, self.far = self._fresh_kernel(), self._fresh_kernel()
        hidden = hidden_units(self.out_channels, reduction, least_hidden)
        self.squeeze = nn.Linear(self.out_channels, hidden, bias=False)
        self.norm: nn.Module = BatchNorm(hidden)
        self.heads = nn.Parameter(torch.zeros(2, self.out_channels, hidden))
        self.bias = self._fresh_bias()
        self._initialise(init)

    def _initialise(self, init: str) -> None:
        if init == "published":
            for head in self.heads:
                nn.init.kaiming_uniform_(head, a=5**0.5)
        for kernel in (self.near, self.far):
            start_each_as_static(kernel, self.geometry)

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Checks that k is odd and at least 3; every setting is supported as given."""
        k = geometry.kernel_size
        if k % 2 == 0 or k == 1:
            raise GeometryError(
                f"sk chooses between a {k}x{k} kernel and the same at twice the dilation, which needs a centre and neighbours. "
                "Allowed: odd kernels of 3 or more. Use another operator in this place."
            )
        return super().resolve(geometry, **settings)

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The number of hidden units, which is all that the settings determine."""
        return {"hidden": hidden_units(geometry.out_channels, int(settings["reduction"]), int(settings["least_hidden"]))}

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds: D (2 H'W' C/g k^2 + 2 d + H'W')."""
        selecting = geometry.out_channels * geometry.out_pixels
        return cls.convolving(geometry, settings) + cls.controlling(geometry, settings) + selecting

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of both branches: 2 H'W' D C/g k^2."""
        return 2 * super().convolving(geometry, settings)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the attention: 2 d D for the selection layers."""
        channels = geometry.out_channels
        return 2 * channels * hidden_units(channels, int(settings["reduction"]), int(settings["least_hidden"]))

    @torch.no_grad()
    def deploy(self) -> None:
        """Folds the BatchNorm inside the selection into the layer before it."""
        self.squeeze, self.norm = absorbed(self.squeeze, self.norm)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Sets the branch without extra dilation to twice the kernel, which a fresh selection halves, and the other to 0."""
        self.near.copy_(2 * kernel)
        self.far.zero_()
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into both kernels, and divides the selection's first layer by the scale; impossible if a scale is almost 0."""
        if scale.abs().min() <= 1e-6 * scale.abs().max():
            return False
        for kernel in (self.near, self.far):
            kernel.mul_(scale.view(-1, 1, 1, 1))
        self.squeeze.weight.div_(scale)
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, D, H', W')."""
        g = self.geometry
        farther = self.padding[0] + g.dilation * (g.kernel_size - 1) // 2
        near = self._convolve(x, self.near)
        far = F.conv2d(x, self.far, None, g.stride, farther, 2 * g.dilation, g.groups)
        a = self._seen("branch", self.selection(near + far))
        y = far + product(near - far, a[:, :, None, None])
        return y if self.bias is None else y + self.bias[:, None, None]

    def selection(self, both: Tensor) -> Tensor:
        """Computes a, the weight of the branch with the smaller receptive field: (N, D, H', W') -> (N, D), each in 0..1."""
        z = torch.relu(self.norm(self.squeeze(pooled(both))))
        return torch.sigmoid(F.linear(z, self.heads[0] - self.heads[1]))


def hidden_units(out_channels: int, reduction: int, least: int) -> int:
    """Number of hidden units, d = max(D // r, least)."""
    return max(out_channels // reduction, least)
