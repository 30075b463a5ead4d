"""1x1 convolution with one kernel per sample, on maps in channels-last memory: a product of two small matrices per sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dcdnas.kernels._library import loaded
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable

LARGEST = 1 << 15
"""Largest number of elements in a sample's kernel; larger kernels exceed the near caches, and torch is as fast for them."""


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiplies each pixel of a sample by the sample's matrix, for maps and kernels that `pointwise_fits` accepts.

    Values and gradients equal those of torch's batched product to 1e-5.

    Args:
        x: (N, C, H, W), channels last.
        weight: (N, D, C).
        bias: (N, D).

    Returns:
        (N, D, H, W), channels last.
    """
    y: Tensor = _Pointwise.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return y


def pointwise_fits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the compiled code may compute this product of x and matrices (N, D, C) in the current context."""
    return (
        usable(x, weight, *(() if bias is None else (bias,)))
        and min(x.shape) > 0
        and len(weight) == len(x)
        and weight[0].numel() <= LARGEST
        and (bias is None or bias.shape == weight.shape[:2])
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def _torch_form(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same function in torch's own operations, for second derivatives."""
    y = weight @ x.flatten(2)
    return torch.unflatten(y if bias is None else y + bias.unsqueeze(-1), 2, x.shape[2:])


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        kernels = loaded()
        (n, channels, height, width), out_channels = x.shape, weight.shape[1]
        matrices, base = weight.contiguous(), None if bias is None else bias.contiguous()
        y = torch.empty((n, out_channels, height, width), memory_format=torch.channels_last)
        room = torch.empty(channels * out_channels)
        ctx.sizes = (n, height * width, channels, out_channels)
        kernels.pointwise_forward(*(None if t is None else t.data_ptr() for t in (x, matrices, base, y, room)), *ctx.sizes)
        ctx.save_for_backward(x, weight, bias, matrices)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, matrices = ctx.saved_tensors
        (g,) = gradients
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)
            return tuple(gradients_of(_torch_form, (x, weight, bias), g))
        kernels = loaded()
        g = g.contiguous(memory_format=torch.channels_last)
        dx, dweight = torch.empty_like(x), torch.empty_like(matrices)
        kernels.pointwise_kernel_gradient(*(t.data_ptr() for t in (g, x, dweight)), *ctx.sizes)
        kernels.pointwise_input_gradient(g.data_ptr(), matrices.data_ptr(), None, dx.data_ptr(), *ctx.sizes)
        return dx, dweight, None if bias is None else g.sum((2, 3))
