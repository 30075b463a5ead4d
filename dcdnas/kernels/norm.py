"""BatchNorm over a batch's own statistics and the clamp behind it, in two passes over the map forward and two backward."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.kernels._library import library

CHANNELS = 4096
"""Most channels that the kernel takes; ``MOST`` in ``training.c``."""

UNCLAMPED = (-math.inf, math.inf)

Bounds = tuple[float, float]


def norm_clamp(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
    bounds: Bounds = UNCLAMPED,
) -> Tensor:
    """``clamp(batch_norm(x), low, high)`` in training, for tensors that are `usable`; the running statistics take note.

    Equal to torch's to 1e-5 in values, gradients and statistics. The gradient is 0 where the clamp holds, bounds included, as
    that of ReLU and ReLU6 is.

    Args:
        x: (N, C, H, W), channels last, with more than one value a channel.
        weight: (C,).
        bias: (C,).
        running_mean: (C,), changed in place.
        running_var: (C,), changed in place, from the unbiased variance.
        momentum: share of the batch's statistics in the running ones.
        eps: added to the variance.
        bounds: low and high of the clamp: (0, inf) for ReLU, (0, 6) for ReLU6; infinite ones for none.

    Returns:
        (N, C, H, W), channels last.
    """
    y: Tensor = _NormClamp.apply(x, weight, bias, running_mean, running_var, momentum, eps, bounds)  # type: ignore[no-untyped-call]
    return y


def fits(x: Tensor) -> bool:
    """Whether the kernel takes a map of this shape and layout."""
    return x.dim() == 4 and x.shape[1] <= CHANNELS and x.numel() > x.shape[1] and _channels_last(x)


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


def _torch_form(x: Tensor, weight: Tensor, bias: Tensor, eps: float, bounds: Bounds) -> Tensor:
    """The same in torch's own operations, for derivatives of derivatives."""
    y = F.batch_norm(x, None, None, weight, bias, True, 0.0, eps)
    return y if bounds == UNCLAMPED else F.hardtanh(y, *bounds)


class _NormClamp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
        bounds: Bounds,
    ) -> Tensor:
        kernels = library()
        assert kernels is not None
        channels = x.shape[1]
        y, found = torch.empty_like(x), torch.empty(2, channels)  # its mean, and 1 / standard deviation
        pointers = [t.data_ptr() for t in (x, y, weight, bias, running_mean, running_var, found)]
        clamped = bounds != UNCLAMPED
        kernels.norm_forward(
            *pointers, pointers[-1] + 4 * channels, x.numel() // channels, channels, eps, momentum, clamped, *bounds
        )
        ctx.save_for_backward(x, weight, bias, found)
        ctx.eps, ctx.bounds = eps, bounds
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, found = ctx.saved_tensors
        (g,) = gradients
        if torch.is_grad_enabled():  # somebody differentiates the gradient
            y = _torch_form(x, weight, bias, ctx.eps, ctx.bounds)
            return *torch.autograd.grad(y, (x, weight, bias), g, create_graph=True), *(None,) * 5
        kernels = library()
        assert kernels is not None
        g = g.contiguous(memory_format=torch.channels_last)
        channels = x.shape[1]
        dx, small = torch.empty_like(x), torch.empty(2, channels)
        mean, both = found.data_ptr(), small.data_ptr()
        pointers = [t.data_ptr() for t in (g, x, dx, weight, bias)]
        kernels.norm_backward(
            *pointers,
            *(mean, mean + 4 * channels, both, both + 4 * channels),
            *(x.numel() // channels, channels, ctx.bounds != UNCLAMPED, *ctx.bounds),
        )
        return dx, small[0], small[1], *(None,) * 5
