"""Base of involution and LSConv: filters that differ from pixel to pixel and are shared by groups of channels.

Letters in shapes: N batch, C channels (in and out), H W map, k kernel size, G groups of channels that share a filter.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.errors import GeometryError
from dcdnas.kernels import Filtering, gradients_of, pixel_filter, pixel_filter_fits
from dcdnas.operators._base import Operator
from dcdnas.operators._kernels import per_sample
from dcdnas.operators._per_sample import taps
from dcdnas.operators._product import product
from dcdnas.operators._widths import by_width, nearest_divisor, plain


class PixelFilter(Operator):
    """y_c(p) = sum_t [w_g(c)(t, p) + v_c(t)] x_c(p + t): filters w that a subclass generates at each pixel, and own taps v.

    The own taps v_c are a static filter of channel c. A subclass has the settings `group_channels`, `own_taps` and `reduction`,
    calls `_make_taps`, and implements `filters` and their cost, `controlling`.
    """

    ADDS_BIAS = True

    INTERLEAVED: ClassVar[bool] = False
    """Whether channel c uses filter c mod G; otherwise neighbouring channels share a filter."""

    group_channels: int
    own_taps: bool
    reduction: float
    own: nn.Parameter | None
    """v: (C, k*k)."""

    def _make_taps(self) -> None:
        taps = self.geometry.kernel_size**2
        self.groups_of_filters = self.in_channels // self.group_channels
        self.own = nn.Parameter(torch.zeros(self.in_channels, taps)) if self.own_taps else None
        self.bias = self._fresh_bias()

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Reduces the number of channels that share a filter to the nearest divisor of C at or below it."""
        check_channelwise(cls.__name__.lower(), geometry)
        resolved = super().resolve(geometry, **settings)
        shared = nearest_divisor(geometry.in_channels, int(resolved["group_channels"]))
        return resolved | {"group_channels": shared, "reduction": plain(resolved["reduction"])}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings with the number of hidden units in place of the reduction."""
        return by_width(geometry, settings)

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds that generate the filters, and C k^2 H'W' to apply them."""
        return cls.controlling(geometry, settings) + cls.convolving(geometry, settings)

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """C k^2 H'W' for any number of groups, because each channel is filtered by itself."""
        return geometry.in_channels * geometry.kernel_size**2 * geometry.out_pixels

    @abstractmethod
    def filters(self, x: Tensor) -> Tensor:
        """Generates w: (N, C, H, W) -> (N, G, k*k, H', W')."""

    @abstractmethod
    def _silence(self) -> None:
        """Initialises the generated filters to 0 for any input, such that they still receive gradients."""

    @torch.no_grad()
    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Sets the own taps to the given kernel and the generated filters to 0.

        Raises:
            GeometryError: for a convolution that mixes channels, or if there are no own taps.
        """
        name = type(self).__name__.lower()
        check_depthwise(name, self.geometry)
        if self.own is None:
            raise GeometryError(f"{name} without own_taps shares each filter between channels. Allowed: own_taps=True.")
        self.own.copy_(kernel.flatten(1))
        self._silence()
        self._start_bias(bias)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Filters (N, C, H, W) -> (N, C, H', W')."""
        y = self._filtered(x, per_sample(self._seen("filter", self.filters(x), of_map=True)))
        return y if self.bias is None else y + self.bias[:, None, None]

    def _filtered(self, x: Tensor, filters: Tensor) -> Tensor:
        """Applies the filters and the own taps in the form that suits the context; training keeps no weighted taps."""
        g, own, interleaved = self.geometry, self.own, self.INTERLEAVED
        place = (g.kernel_size, g.stride, self.padding[0], g.dilation)
        if not self.training or self.portable:
            return filtered(x, filters, own, interleaved, *place)
        if pixel_filter_fits(x, filters, own):
            how = Filtering(*place, interleaved, "sum", lambda x, w, v: filtered(x, w, v, interleaved, *place))
            return pixel_filter(x, filters, own, how)
        y: Tensor = _Lean.apply(x, filters, own, interleaved, *place)  # type: ignore[no-untyped-call]
        return y


def check_channelwise(name: str, geometry: ConvGeometry) -> None:
    """Raises GeometryError where an operator that filters each channel around a centre pixel is impossible."""
    if geometry.in_channels != geometry.out_channels:
        raise GeometryError(
            f"{name} filters each channel by itself, so it cannot turn {geometry.in_channels} channels into "
            f"{geometry.out_channels}. Allowed: as many channels out as in. Use another operator in this place."
        )
    k = geometry.kernel_size
    if k % 2 == 0 or k == 1:
        raise GeometryError(
            f"{name} filters around a centre pixel, so its kernel cannot be {k}x{k}. "
            "Allowed: odd kernels of 3 or more. Use another operator in this place."
        )


def check_depthwise(name: str, geometry: ConvGeometry) -> None:
    """Raises GeometryError where an operator that filters each channel cannot be initialised as the convolution."""
    if geometry.groups != geometry.in_channels:
        raise GeometryError(
            f"{name} filters each channel by itself, and this convolution mixes {geometry.in_channels // geometry.groups} "
            "channels. Allowed: depthwise convolutions."
        )


def tap_deviation(kernel_size: int) -> float:
    """sqrt(2) / k, the standard deviation of a channel's taps that preserves the scale of a static convolution."""
    return math.sqrt(2.0) / kernel_size


def filtered(
    x: Tensor,
    filters: Tensor,
    own: Tensor | None,
    interleaved: bool,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """Filters each channel at each pixel with its group's filter and its own taps; reads k*k shifted views of x, without copies.

    Args:
        x: (N, C, H, W).
        filters: (N, G, k*k, H', W').
        own: (C, k*k), or None.
        interleaved: whether channel c belongs to group c mod G, instead of c // (C/G).
        kernel_size: k.
        stride: as in Conv2d.
        padding: as in Conv2d.
        dilation: as in Conv2d.

    Returns:
        (N, C, H', W').
    """
    shape, axis = _grouping(filters.shape[1], interleaved)
    total = None
    for t, seen in enumerate(taps(x, kernel_size, stride, padding, dilation)):
        weighed = product(torch.unflatten(seen, 1, shape), _of_tap(filters, own, t, shape, axis))
        total = weighed if total is None else total + weighed
    assert total is not None
    return total.flatten(1, 2)


def _grouping(groups: int, interleaved: bool) -> tuple[tuple[int, int], int]:
    """The shape into which the channel axis is split, and the axis of the channels that share a filter."""
    return ((-1, groups), 1) if interleaved else ((groups, -1), 2)


def _of_tap(filters: Tensor, own: Tensor | None, t: int, shape: tuple[int, int], axis: int) -> Tensor:
    """Weights of one tap: (N, 1, G, H', W') or (N, G, 1, H', W'); own taps expand the axis of size 1 to the group's channels."""
    shared = filters[:, :, t].unsqueeze(axis)
    return shared if own is None else shared + torch.unflatten(own[:, t], 0, shape)[..., None, None]


class _Lean(torch.autograd.Function):
    """`filtered` that stores only its inputs for the backward pass, not the weighted taps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, filters: Tensor, own: Tensor | None, interleaved: bool, *place: int) -> Tensor:
        ctx.save_for_backward(x, filters, own)
        ctx.interleaved, ctx.place = interleaved, place
        return filtered(x, filters, own, interleaved, *place)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, filters, own = ctx.saved_tensors
        kernel_size, stride, padding, dilation = ctx.place
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)

            def plain(x: Tensor, filters: Tensor, own: Tensor | None) -> Tensor:
                return filtered(x, filters, own, ctx.interleaved, *ctx.place)

            found = gradients_of(plain, (x, filters, own), gradients[0])
            return *found, None, None, None, None, None
        shape, axis = _grouping(filters.shape[1], ctx.interleaved)
        gradient = torch.unflatten(gradients[0], 1, shape)
        padded = F.pad(x, (padding,) * 4)
        into = torch.zeros_like(padded)
        seen, back = (taps(t, kernel_size, stride, 0, dilation) for t in (padded, into))
        by_pixel, by_channel = [], []
        for t, (tap, target) in enumerate(zip(seen, back, strict=True)):
            target.add_((gradient * _of_tap(filters, own, t, shape, axis)).flatten(1, 2))
            weighed = gradient * torch.unflatten(tap, 1, shape)
            by_pixel.append(weighed.sum(axis))
            if own is not None:
                by_channel.append(weighed.sum((0, 3, 4)).flatten())
        height, width = x.shape[-2:]
        inside = into[..., padding : padding + height, padding : padding + width]
        to_own = torch.stack(by_channel, 1) if by_channel else None
        return inside, torch.stack(by_pixel, 2), to_own, None, None, None, None, None
