"""Ghost convolution (GhostNet): part of the output channels is filtered from the others by cheap depthwise kernels; static.

The paper observes that many maps of a trained network resemble each other, and claims that a layer need compute only some of
them, the intrinsic ones, and may derive the others, their ghosts. Nothing depends on the input: this is a static layer to
compare dynamic 1x1 layers with, because at equal cost it lets a network be wider.

Letters: N batch, C input channels, D output channels, H W map, k kernel size, g groups, s ratio, m intrinsic channels, q kernel
size of the ghosts, P output pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.errors import GeometryError
from dcdnas.operators._base import Operator
from dcdnas.operators._mixture import static_std
from dcdnas.operators._norm import BatchNorm, activated, folded_bias
from dcdnas.operators._pixelwise import tap_deviation
from dcdnas.operators._shared_conv import convolved

__all__ = ["Ghost"]

RELU = nn.ReLU()


class Ghost(Operator):
    """y = concat(u, V * a(u)) with u = W * x: m = ceil(D / s) intrinsic channels, and s - 1 ghosts of each, D channels in all.

    V holds depthwise q x q kernels. a is ReLU after a BatchNorm, or nothing.

    Args:
        *place: C, D (at least 2), k and more, as in Conv2d; the number of groups must divide m, and be less than C.
        ratio: s, reduced to D.
        ghost_size: q, odd.
        act: ``relu``: a is a BatchNorm and ReLU, as in the published layers that have an activation; ``none``: the equations of
            the paper, in which the ghosts are linear.

    Raises:
        GeometryError: if the convolution is depthwise, has a single output channel, or groups that do not divide m.

    Departures:
        The norm after the layer belongs to the network, so the intrinsic channels pass a norm of their own on the way to the
        ghosts, with the same batch statistics as the published layer's.

    Reference:
        Han, Wang, Tian, Guo, Xu, Xu: GhostNet: More Features from Cheap Operations. CVPR 2020, arXiv 1911.11907.
    """

    REFERENCE = Reference(
        "han2020ghostnet",
        "Han, Kai and Wang, Yunhe and Tian, Qi and Guo, Jianyuan and Xu, Chunjing and Xu, Chang",
        "GhostNet: More Features from Cheap Operations", "CVPR", 2020, "1911.11907",
    )  # fmt: skip

    PUBLISHED_FORM = ""
    ADDS_BIAS = True

    ratio: int
    ghost_size: int
    act: str

    def __init__(
        self,
        *place: Any,
        ratio: Annotated[int, Choice(at_least=2, at_most=8)] = 2,
        ghost_size: Annotated[int, Choice(at_least=1, at_most=7, odd=True)] = 3,
        act: Annotated[str, Choice(words=("relu", "none"))] = "relu",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        self._keep(ratio=ratio, ghost_size=ghost_size, act=act)
        g, kept = self.geometry, intrinsic(self.geometry, self._settings())
        self.weight = nn.Parameter(torch.empty(kept, g.in_channels // g.groups, g.kernel_size, g.kernel_size))
        self.norm: nn.Module = BatchNorm(kept) if self.act == "relu" else nn.Identity()
        self.ghosts = nn.Parameter(torch.empty(kept * (self.ratio - 1), 1, self.ghost_size, self.ghost_size))
        self.bias = self._fresh_bias()
        nn.init.normal_(self.weight, std=static_std(g))
        nn.init.normal_(self.ghosts, std=tap_deviation(self.ghost_size))

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Checks the geometry, and reduces the ratio to the number of output channels."""
        if geometry.depthwise or geometry.out_channels < 2:
            why = "which saves nothing in a depthwise convolution" if geometry.depthwise else "so it needs 2 or more of them"
            raise GeometryError(
                f"ghost filters some output channels from others, {why}. "
                "Allowed: dense or grouped convolutions with 2 or more output channels. Use another operator in this place."
            )
        resolved = super().resolve(geometry, **settings)
        resolved["ratio"] = min(int(resolved["ratio"]), geometry.out_channels)
        kept = intrinsic(geometry, resolved)
        if kept % geometry.groups:
            raise GeometryError(
                f"ghost computes {kept} of {geometry.out_channels} channels, which {geometry.groups} groups cannot share. "
                "Allowed: groups that divide the number of output channels / ratio, rounded up."
            )
        return resolved

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds: P m C/g k^2 for the intrinsic channels, P m (s - 1) q^2 for the ghosts."""
        return cls.convolving(geometry, settings)

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the whole layer, which is static."""
        g, kept = geometry, intrinsic(geometry, settings)
        weights = g.in_channels // g.groups * g.kernel_size**2
        return g.out_pixels * kept * (weights + (int(settings["ratio"]) - 1) * int(settings["ghost_size"]) ** 2)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Returns 0, because nothing depends on the input."""
        return 0

    def continues(self, other: Operator) -> bool:
        """Whether each intrinsic channel has as many ghosts of the same size."""
        same = isinstance(other, Ghost) and (self.ratio, self.ghost_size, self.act) == (other.ratio, other.ghost_size, other.act)
        return same and super().continues(other)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Refuses every convolution.

        Raises:
            GeometryError: always, because the ghosts depend on the intrinsic channels.
        """
        raise GeometryError(
            "ghost cannot be initialised from a given convolution, because it filters a part of its output channels from the "
            "others. Use another operator."
        )

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into the kernels and the bias; what reads the intrinsic channels is divided by their scale, unless that is 0."""
        kept = len(self.weight)
        own, others = scale[:kept], scale[kept:]
        if not own.all():
            return False
        self.weight.mul_(own.view(-1, 1, 1, 1))
        if isinstance(self.norm, BatchNorm):
            self.norm.weight.div_(own)
            self.norm.get_buffer("running_mean").mul_(own)
        else:
            self.ghosts.div_(own.repeat_interleave(self.ratio - 1).view(-1, 1, 1, 1))
        self.ghosts[: len(others)].mul_(others.view(-1, 1, 1, 1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, D, H', W')."""
        own = self._convolve(x, self.weight)
        seen = activated(own, self.norm, RELU) if self.act == "relu" else own
        made = convolved(seen, self.ghosts, None, 1, self.ghost_size // 2, 1, len(self.weight))
        y = torch.cat((own, made), 1)[:, : self.out_channels]
        return y if self.bias is None else y + self.bias[:, None, None]


def intrinsic(geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
    """m = ceil(D / s), the number of intrinsic channels."""
    return -(-geometry.out_channels // int(settings["ratio"]))
