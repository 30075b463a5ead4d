"""Selective kernel (SK): two receptive fields, and for each input and channel a choice between them.

The paper claims that neurons should adapt the size of their receptive field to the input, and that a softmax over branches
of different dilation, computed from their pooled sum, does it cheaply. Not DY-Conv: the weights differ by output channel and
choose between two places to look at, not between kernels for the same place.

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
from dcdnas.operators._mixture import static_std
from dcdnas.operators._norm import BatchNorm, absorbed, folded_bias
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import product

__all__ = ["SK"]


class SK(Operator):
    """y = a(x) U1 + (1 - a(x)) U2, U1 = W1 * x, U2 = W2 * x at twice the dilation, a softmax over the two, for each channel.

    a = softmax(A z, B z) with z = ReLU(BN(FC(GAP(U1 + U2)))). A softmax over two is the sigmoid of the difference, so that
    the selection costs one matrix (A - B) and one product a pixel.

    Args:
        *place: C, D, k and more, as in Conv2d.
        reduction: r; there are d = max(D // r, least_hidden) hidden units.
        least_hidden: the least d; 32 in the paper.
        init: ``static``: both branches weigh 1/2 whatever the input, and the output has the scale of a static convolution's;
            ``published``: each branch starts as a static convolution, and the selection at random.

    Raises:
        GeometryError: when k is even or 1.

    Departures:
        The published unit has BatchNorm and ReLU inside each branch. An operator is a convolution, which must be able to give
        negative outputs, so the branches are linear, and the slot's own BatchNorm and activation follow the selection.

    Reference:
        Li, Wang, Hu, Yang: Selective Kernel Networks. CVPR 2019, arXiv 1903.06586, equations 1-6.
    """

    REFERENCE = Reference(
        "li2019selective",
        "Li, Xiang and Wang, Wenhai and Hu, Xiaolin and Yang, Jian",
        "Selective Kernel Networks", "CVPR", 2019, "1903.06586",
    )  # fmt: skip

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
        std = static_std(self.geometry)
        if init == "static":
            std *= 2**0.5
        else:
            for head in self.heads:
                nn.init.kaiming_uniform_(head, a=5**0.5)
        for kernel in (self.near, self.far):
            nn.init.normal_(kernel, std=std)

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Nothing to resolve but the rule that k is odd and at least 3."""
        k = geometry.kernel_size
        if k % 2 == 0 or k == 1:
            raise GeometryError(
                f"sk chooses between a {k}x{k} kernel and the same at twice the dilation, which needs a centre and neighbours. "
                "Allowed: odd kernels of 3 or more. Use another operator in this place."
            )
        return super().resolve(geometry, **settings)

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The hidden units, which are all that the settings decide."""
        return {"hidden": hidden_units(geometry.out_channels, int(settings["reduction"]), int(settings["least_hidden"]))}

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """D (2 H'W' C/g k^2 + 2 d + H'W')."""
        selecting = geometry.out_channels * geometry.out_pixels
        return cls.convolving(geometry, settings) + cls.controlling(geometry, settings) + selecting

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Both branches': 2 H'W' D C/g k^2."""
        return 2 * super().convolving(geometry, settings)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """2 d D for the selection."""
        channels = geometry.out_channels
        return 2 * channels * hidden_units(channels, int(settings["reduction"]), int(settings["least_hidden"]))

    @torch.no_grad()
    def deploy(self) -> None:
        """The BatchNorm inside the selection becomes part of the layer before it."""
        self.squeeze, self.norm = absorbed(self.squeeze, self.norm)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """A fresh selection weighs both branches by 1/2: the nearer has twice the kernel, the farther begins at nothing."""
        self.near.copy_(2 * kernel)
        self.far.zero_()
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Into both kernels, the selection's first layer undoing it; impossible where a channel is scaled to nothing."""
        if scale.abs().min() <= 1e-6 * scale.abs().max():
            return False
        for kernel in (self.near, self.far):
            kernel.mul_(scale.view(-1, 1, 1, 1))
        self.squeeze.weight.div_(scale)
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, D, H', W')."""
        g = self.geometry
        farther = self.padding[0] + g.dilation * (g.kernel_size - 1) // 2
        near = self._convolve(x, self.near)
        far = F.conv2d(x, self.far, None, g.stride, farther, 2 * g.dilation, g.groups)
        a = self._seen("branch", self.selection(near + far))
        y = far + product(near - far, a[:, :, None, None])
        return y if self.bias is None else y + self.bias[:, None, None]

    def selection(self, both: Tensor) -> Tensor:
        """a, the narrower branch's weight: (N, D, H', W') -> (N, D), each in 0..1."""
        z = torch.relu(self.norm(self.squeeze(pooled(both))))
        return torch.sigmoid(F.linear(z, self.heads[0] - self.heads[1]))


def hidden_units(out_channels: int, reduction: int, least: int) -> int:
    """d = max(D // r, least)."""
    return max(out_channels // reduction, least)
