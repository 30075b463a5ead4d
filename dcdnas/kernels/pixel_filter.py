"""Depthwise filters that differ from pixel to pixel, combined with taps of each channel, on maps in channels-last memory.

Letters in shapes: N batch, C channels, H W map, k kernel size, G filters at each pixel.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from dcdnas.kernels._convolving import pointers
from dcdnas.kernels._library import loaded
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable


class Filtering(NamedTuple):
    """How y_c(p) = sum_t (w_g(t, p) o v_c(t)) x_c(p + t) is computed, with filters w and taps v."""

    kernel_size: int
    stride: int
    padding: int
    dilation: int
    interleaved: bool
    """Whether channel c uses filter c mod G; otherwise neighbouring channels share a filter."""
    combine: Literal["sum", "product"]
    """The operation o; without taps, the filters alone are applied."""
    plain: Callable[..., Tensor]
    """The same function of x, w and v in torch's operations, for second derivatives."""


def pixel_filter(x: Tensor, filters: Tensor, taps: Tensor | None, how: Filtering) -> Tensor:
    """Filters each channel at each pixel, for maps and filters that `pixel_filter_fits` accepts.

    Values and gradients equal those of torch's operations to 1e-5.

    Args:
        x: (N, C, H, W), channels last.
        filters: w, (N, G, k*k, H', W').
        taps: v, (C, k*k), or (N, C, k*k) if each sample has its own; None for none.
        how: description of the function.

    Returns:
        (N, C, H', W'), channels last.
    """
    y: Tensor = _PixelFilter.apply(x, filters, taps, how)  # type: ignore[no-untyped-call]
    return y


def pixel_filter_fits(x: Tensor, filters: Tensor, taps: Tensor | None) -> bool:
    """Whether the compiled code may filter x in the current context."""
    return (
        usable(x, filters, *(() if taps is None else (taps,)))
        and min(*x.shape, *filters.shape) > 0
        and x.is_contiguous(memory_format=torch.channels_last)
    )


class _Sizes(ctypes.Structure):
    """The type `place` of ``pixel_filters.c``."""

    _fields_ = [
        (name, ctypes.c_long)
        for name in (
            "samples", "channels", "height", "width", "out_height", "out_width", "kernel_size", "stride", "padding", "dilation",
            "filters", "interleaved", "combine", "each", "last",
        )
    ]  # fmt: skip


def _sizes(x: Tensor, filters: Tensor, taps: Tensor | None, how: Filtering, last: bool) -> _Sizes:
    (groups, _, *out), combine = filters.shape[1:], 0 if taps is None else 1 if how.combine == "sum" else 2
    each = taps is not None and taps.dim() == 3
    return _Sizes(*x.shape, *out, *how[:4], groups, how.interleaved, combine, each, last)


class _PixelFilter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, filters: Tensor, taps: Tensor | None, how: Filtering) -> Tensor:
        stacked = filters.flatten(1, 2)
        last = stacked.is_contiguous(memory_format=torch.channels_last) and not stacked.is_contiguous()
        dense = stacked if last else stacked.contiguous()
        sizes = _sizes(x, filters, taps, how, last)
        y = torch.empty((*x.shape[:2], *filters.shape[3:]), memory_format=torch.channels_last)
        room = torch.empty(loaded().pixel_filter_room(ctypes.byref(sizes)))
        own = None if taps is None else taps.contiguous()
        loaded().pixel_filter_forward(*pointers(x, dense, own, y, room), ctypes.byref(sizes))
        ctx.save_for_backward(x, filters, taps)
        ctx.how, ctx.sizes, ctx.dense = how, sizes, (dense, own)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, filters, taps = ctx.saved_tensors
        (g,), (dense, own) = gradients, ctx.dense
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)
            return *gradients_of(ctx.how.plain, (x, filters, taps), g), None
        g = g.contiguous(memory_format=torch.channels_last)
        dx, dfilters, dtaps = torch.empty_like(x), torch.empty_like(dense), None if own is None else torch.empty_like(own)
        room = torch.empty(loaded().pixel_filter_room(ctypes.byref(ctx.sizes)))
        loaded().pixel_filter_backward(*pointers(g, x, dense, own, dx, dfilters, dtaps, room), ctypes.byref(ctx.sizes))
        return dx, dfilters.view_as(filters), dtaps, None
