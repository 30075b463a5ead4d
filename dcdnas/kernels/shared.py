"""Static 1x1 and large depthwise convolutions, with one kernel for all samples, on maps in channels-last memory.

They use the compiled functions for one kernel per sample. A 1x1 layer is a single product over the pixels of all samples. A
depthwise layer uses torch except for the gradient of its kernel, which torch computes slowly for 5x5 and 7x7 kernels
(`benchmarks/static_layers.py`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.kernels._convolving import Place, pointers
from dcdnas.kernels._library import loaded
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable
from dcdnas.kernels.depthwise import SIZES

LARGEST = 1 << 12
"""Largest number of elements in a 1x1 kernel; torch's product is as fast for larger ones."""

SMALL = 3
"""Size of a depthwise kernel up to which torch is as fast."""

FEW, TOGETHER = 64, 8
"""For the gradient of a 1x1 kernel, samples of fewer than `FEW` pixels are processed in groups of up to `TOGETHER`."""


class Convolution(NamedTuple):
    """Stride, padding and groups of a convolution, as in Conv2d."""

    stride: int
    padding: int
    groups: int


def shared_convolution(x: Tensor, weight: Tensor, how: Convolution) -> Tensor:
    """Convolves a map with a kernel that `shared_fits` accepts.

    Values and gradients equal torch's to 1e-5.

    Args:
        x: (N, C, H, W), channels last.
        weight: (D, C, 1, 1), or (C, 1, k, k) for a depthwise convolution.
        how: stride, padding and groups.

    Returns:
        (N, D, H', W'), channels last.
    """
    y: Tensor = _Shared.apply(x, weight, how)  # type: ignore[no-untyped-call]
    return y


def shared_fits(x: Tensor, weight: Tensor, how: Convolution) -> bool:
    """Whether the compiled kernels may compute this convolution in the current context and are faster than torch."""
    (out_channels, inner, k, _), (stride, padding, groups) = weight.shape, how
    if k == 1:
        fits = groups == stride == 1 and padding == 0 and out_channels * inner <= LARGEST
    else:
        fits = inner == 1 and out_channels == groups and k > SMALL and k in SIZES and padding < k
        fits = fits and min(x.shape[2:]) + 2 * padding >= k
    return fits and min(x.shape) > 0 and x.is_contiguous(memory_format=torch.channels_last) and usable(x, weight)


def _torch_form(x: Tensor, weight: Tensor, how: Convolution) -> Tensor:
    """The same function in torch's own operations."""
    return F.conv2d(x, weight, None, how.stride, how.padding, 1, how.groups)


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, how: Convolution) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = how
        if weight.shape[-1] > 1:
            return _torch_form(x, weight, how)
        (n, channels, height, width), out_channels = x.shape, len(weight)
        y = torch.empty((n, out_channels, height, width), memory_format=torch.channels_last)
        matrix, room = weight.contiguous(), torch.empty(weight.numel())
        loaded().pointwise_forward(*pointers(x, matrix, None, y, room), 1, n * height * width, channels, out_channels)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), how, (g,) = ctx.saved_tensors, ctx.how, gradients
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)
            return *gradients_of(lambda x, weight: _torch_form(x, weight, how), (x, weight), g), None
        g = g.contiguous(memory_format=torch.channels_last)
        by_map, by_kernel, _ = ctx.needs_input_grad
        dx = _map_gradient(g, x, weight, how) if by_map else None
        return dx, _kernel_gradient(g, x, weight, how) if by_kernel else None, None


def _map_gradient(g: Tensor, x: Tensor, weight: Tensor, how: Convolution) -> Tensor:
    """Gradient of the map."""
    if weight.shape[-1] > 1:
        sizes = [how.stride] * 2, [how.padding] * 2, [1, 1], False, [0, 0], how.groups
        found: Tensor = torch.ops.aten.convolution_backward(g, x, weight, None, *sizes, [True, False, False])[0]
        return found
    (n, channels, height, width), dx, matrix = x.shape, torch.empty_like(x), weight.contiguous()
    loaded().pointwise_input_gradient(*pointers(g, matrix, None, dx), 1, n * height * width, channels, len(weight))
    return dx


def _kernel_gradient(g: Tensor, x: Tensor, weight: Tensor, how: Convolution) -> Tensor:
    """Gradient of the kernel: the sum of the gradients of single samples, or of small groups of samples."""
    k = weight.shape[-1]
    if k > 1:
        place = Place(len(weight), k, how.stride, how.padding, depthwise=True)
        return place.kernel_gradient(g, x).sum(0).t().reshape(weight.shape)
    n, channels, height, width = x.shape
    some = math.gcd(n, TOGETHER) if height * width < FEW else 1
    each = torch.empty(n // some, *weight.shape)
    loaded().pointwise_kernel_gradient(*pointers(g, x, each), n // some, some * height * width, channels, len(weight))
    return each.sum(0)
