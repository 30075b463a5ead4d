"""Decoupled dynamic filter (DDF): a k x k filter for each pixel and channel, composed of a spatial and a channel filter.

The paper claims that a filter for each pixel and channel becomes affordable if it is split into a spatial filter (one per
pixel) and a channel filter (one per channel), and that the result can replace a dense k x k convolution at a fraction of its
multiply-adds, because it filters each channel by itself. DDF differs from involution and depthwise convolution, whose filters
do not depend on both the pixel and the channel.

Letters: N batch, C channels (in and out), H W map, k kernel size, h heads, m hidden units, r reduction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._base import Operator
from dcdnas.operators._decoupled import decoupled_filter, decoupled_filter_lean, filter_norm
from dcdnas.operators._norm import folded_bias
from dcdnas.operators._per_sample import centred
from dcdnas.operators._pixelwise import check_channelwise, check_depthwise
from dcdnas.operators._pool import pooled
from dcdnas.operators._product import product
from dcdnas.operators._widths import by_width, hidden_units, nearest_divisor, plain

__all__ = ["DDF"]


class DDF(Operator):
    """y_c(p) = sum_t [D^ch_c(t) o D^sp(t, p)] x_c(p + t), where o is the product (``mul``) or the sum (``add``).

    D^sp = FilterNorm(conv1x1(x)) at each output pixel, D^ch = FilterNorm(FC(ReLU(FC(GAP(x))))) times a learnable scale;
    FilterNorm gives the k*k taps of a filter mean 0 and a fixed standard deviation. DDF replaces depthwise convolutions, and
    other square ones with any number of groups and as many output as input channels; it never mixes channels.

    Args:
        *place: C, D (which must equal C), k (odd and at least 3) and more, as in Conv2d. The size of an odd map at stride 2 is
            rounded up, as in Conv2d; `groups` is accepted for compatibility and does not change the filters.
        kernel_combine: ``mul`` or ``add``.
        head: h, the number of spatial filters per pixel; C/h neighbouring channels share one. The nearest divisor of C at or
            below it is used.
        reduction: r; the channel branch has max(1, C // r) hidden units.
        init: ``static``: both filters are constant (the last layers' weights are zero), which gives a depthwise convolution of
            unit scale; ``published``: default initialisation of the layers, and scales from N(0, 2/k^2) with random signs.

    Raises:
        GeometryError: if C is not the number of output channels, or k is even or 1.

    Departures:
        Beyond the published code it supports any map size (rounded up at stride 2), CPUs, half precision (with a lower bound of
        the standard deviation that half precision can represent), at least one hidden unit, and a bias.

    Reference:
        Zhou, Jampani, Pi, Liu, Yang: Decoupled Dynamic Filter Networks. CVPR 2021, arXiv 2104.14107.
    """

    REFERENCE = Reference(
        "zhou2021decoupled",
        "Zhou, Jingkai and Jampani, Varun and Pi, Zhixiong and Liu, Qiong and Yang, Ming-Hsuan",
        "Decoupled Dynamic Filter Networks", "CVPR", 2021, "2104.14107",
    )  # fmt: skip

    kernel_combine: Literal["mul", "add"]
    head: int
    reduction: float

    PUBLISHED_FORM = ""
    ADDS_BIAS = True

    def __init__(
        self,
        *place: Any,
        kernel_combine: Annotated[str, Choice(words=("mul", "add"))] = "mul",
        head: Annotated[int, Choice(at_least=1, at_most=64)] = 1,
        reduction: Annotated[float, Choice(at_least=1)] = 5,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(kernel_combine=kernel_combine, head=head, reduction=reduction)
        channels, taps, hidden = self.in_channels, self.geometry.kernel_size**2, hidden_units(self.in_channels, reduction)
        self.spatial = nn.Conv2d(channels, self.head * taps, 1, self.stride)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels * taps)
        self.scale = nn.Parameter(torch.empty(channels * taps))
        self.bias = self._fresh_bias()
        self._initialise(init)

    def _initialise(self, init: str) -> None:
        constant = filter_deviation(self.geometry.kernel_size)
        if init == "published":
            nn.init.normal_(self.scale, std=constant)
            return
        nn.init.constant_(self.scale, 1.0 if self.kernel_combine == "mul" else constant)
        for weight, bias in (self.spatial.parameters(), self.excite.parameters()):
            nn.init.zeros_(weight)
            nn.init.normal_(bias)

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Reduces the number of heads to the nearest divisor of C at or below it."""
        check_channelwise("ddf", geometry)
        resolved = super().resolve(geometry, **settings)
        head = nearest_divisor(geometry.in_channels, int(resolved["head"]))
        return resolved | {"head": head, "reduction": plain(resolved["reduction"])}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings with the channel branch's number of hidden units in place of the reduction."""
        return by_width(geometry, settings)

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """H'W' k^2 h (C + 1) for spatial filters, C (m + m k^2 + 2 k^2) for channel filters, 1 or 2 C k^2 H'W' to apply."""
        g, taps = geometry, geometry.kernel_size**2
        normalised = taps * (g.out_pixels * int(settings["head"]) + 2 * g.in_channels)
        products = 1 if settings["kernel_combine"] == "add" else 2
        return cls.controlling(geometry, settings) + normalised + products * cls.convolving(geometry, settings)

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """C k^2 H'W' for any number of groups, because each channel is filtered by itself."""
        return geometry.in_channels * geometry.kernel_size**2 * geometry.out_pixels

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the branches: H'W' k^2 h C for the spatial filters, C (m + m k^2) for the channel filters."""
        g, taps = geometry, geometry.kernel_size**2
        hidden = hidden_units(g.in_channels, settings["reduction"])
        return g.in_channels * (g.out_pixels * taps * int(settings["head"]) + hidden * (1 + taps))

    def spatial_filter(self, x: Tensor) -> Tensor:
        """Computes D^sp: (N, C, H, W) -> (N, h, k*k, H', W')."""
        g = self.geometry
        pixels: Tensor = self.spatial(centred(x, g.kernel_size, self.padding[0], g.dilation))
        filters = torch.unflatten(pixels, 1, (self.head, g.kernel_size**2))
        return filter_norm(filters, 2, g.kernel_size**2, filter_deviation(g.kernel_size))

    def channel_filter(self, x: Tensor) -> Tensor:
        """Computes D^ch: (N, C, H, W) -> (N, C, k*k)."""
        taps = self.geometry.kernel_size**2
        filters = torch.unflatten(self.excite(torch.relu(self.squeeze(pooled(x)))), 1, (-1, taps))
        return product(filter_norm(filters, 2, taps, 1.0), self.scale.view(-1, taps))

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Makes both filters constant with alternating non-zero taps, and sets the scale so that they combine to the kernel.

        Raises:
            GeometryError: for a convolution that mixes channels.
        """
        g, taps = self.geometry, self.geometry.kernel_size**2
        check_depthwise("ddf", g)
        alternating = torch.ones_like(kernel.flatten(1)[0])
        alternating[1::2] = -1
        for layer, filters in ((self.spatial, self.head), (self.excite, g.in_channels)):
            layer.get_parameter("bias").copy_(alternating.repeat(filters))
        channel = filter_norm(alternating, 0, taps, 1.0)
        spatial = filter_norm(alternating, 0, taps, filter_deviation(g.kernel_size))
        wanted = kernel.flatten(1)
        scale = (wanted - spatial) / channel if self.kernel_combine == "add" else wanted / (channel * spatial)
        self.scale.copy_(scale.flatten())
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into the channel filter's scale and the bias; impossible for ``add``, where the spatial filter needs it too."""
        if self.kernel_combine == "add":
            return False
        self.scale.mul_(scale.repeat_interleave(self.geometry.kernel_size**2))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Filters (N, C, H, W) -> (N, C, H', W')."""
        g = self.geometry
        apply = decoupled_filter_lean if self.training and not self.portable else decoupled_filter
        spatial = self._seen("spatial filter", self.spatial_filter(x), of_map=True)
        filters = self._seen("channel filter", self.channel_filter(x)), spatial
        y = apply(x, *filters, self.kernel_combine, g.kernel_size, g.stride, self.padding[0], g.dilation)
        return y if self.bias is None else y + self.bias[:, None, None]


def filter_deviation(kernel_size: int) -> float:
    """sqrt(2) / k, the standard deviation of a spatial filter's taps (and of the published channel filter's scale)."""
    return math.sqrt(2.0) / kernel_size
