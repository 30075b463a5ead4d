"""Depthwise convolution with one kernel per sample, on maps in channels-last memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dcdnas.kernels._library import loaded
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable

SIZES = range(2, 8)
"""Kernel sizes that the compiled code supports."""


def depthwise(x: Tensor, weight: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolves each channel of each sample with its own kernel, for maps and kernels that `depthwise_fits` accepts.

    Values and gradients equal those of torch's convolution to 1e-5.

    Args:
        x: (N, C, H, W), channels last.
        weight: (N, C, 1, k, k).
        stride: as in Conv2d.
        padding: as in Conv2d, below k.

    Returns:
        (N, C, H', W'), channels last.
    """
    y: Tensor = _Depthwise.apply(x, weight, stride, padding)  # type: ignore[no-untyped-call]
    return y


def depthwise_fits(x: Tensor, weight: Tensor, padding: int, dilation: int, groups: int) -> bool:
    """Whether the compiled code may convolve x with kernels (N, D, C/g, k, k) in the current context."""
    k = weight.shape[-1]
    return (
        usable(x, weight)
        and weight.shape[:3] == (len(x), groups, 1)
        and x.shape[1] == groups
        and k in SIZES
        and padding < k
        and dilation == 1
        and min(x.shape) > 0
        and min(x.shape[2:]) + 2 * padding >= k
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def _torch_form(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The same function in torch's own operations, for second derivatives."""
    n, channels = x.shape[:2]
    folded = x.reshape(1, n * channels, *x.shape[2:])
    y = torch.conv2d(folded, weight.flatten(0, 1), None, stride, padding, 1, n * channels)
    return y.view(n, channels, *y.shape[2:])


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        kernels = loaded()
        n, channels, height, width = x.shape
        k = weight.shape[-1]
        out_height, out_width = ((size + 2 * padding - k) // stride + 1 for size in (height, width))
        taps = weight.reshape(n, channels, k * k).transpose(1, 2).contiguous()
        y = torch.empty((n, channels, out_height, out_width), memory_format=torch.channels_last)
        room = torch.zeros(kernels.lanes() * (height + 2 * padding) * (width + 2 * padding))
        ctx.sizes = (n, height, width, channels, out_height, out_width, k, stride, padding)
        kernels.depthwise_forward(*(t.data_ptr() for t in (x, taps, y, room)), *ctx.sizes)
        ctx.save_for_backward(x, weight, taps)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, taps = ctx.saved_tensors
        (g,) = gradients
        _, height, width, _, out_height, out_width, k, stride, padding = ctx.sizes
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)
            return *gradients_of(lambda x, weight: _torch_form(x, weight, stride, padding), (x, weight), g), None, None
        kernels = loaded()
        g = g.contiguous(memory_format=torch.channels_last)
        dx, dtaps = torch.empty_like(x), torch.empty_like(taps)
        padded = kernels.lanes() * (height + 2 * padding) * (width + 2 * padding)
        spread = kernels.lanes() * (out_height + 2 * k) * (out_width + 2 * k) if stride == 1 else padded
        room = torch.zeros(padded), torch.zeros(spread)
        kernels.depthwise_kernel_gradient(*(t.data_ptr() for t in (g, x, dtaps, room[0])), *ctx.sizes)
        kernels.depthwise_input_gradient(g.data_ptr(), taps.data_ptr(), None, dx.data_ptr(), room[1].data_ptr(), *ctx.sizes)
        return dx, dtaps.transpose(1, 2).reshape(weight.shape), None, None
