"""BatchNorm with batch statistics, followed by a clamp, in two passes over the map forward and two backward."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from dcdnas.kernels._library import lanes_of_kernels, loaded
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable

CHANNELS = 4096
"""Largest number of channels that the compiled code supports; ``MOST`` in ``training.c``."""

Bounds = tuple[float, float]

UNCLAMPED: Bounds = (-math.inf, math.inf)


def norm_clamp(x: Tensor, norm: _BatchNorm, bounds: Bounds = UNCLAMPED) -> Tensor:
    """Computes ``norm(x).clamp(*bounds)`` in training mode, for a map that `norm_fits` accepts; updates the running statistics.

    Values, gradients and statistics equal torch's to 1e-5. The gradient is 0 where the clamp is active, bounds included, as for
    ReLU and ReLU6.

    Args:
        x: (N, C, H, W), channels last, with more than one value per channel.
        norm: BatchNorm over C channels, with weights and running statistics.
        bounds: lower and upper bound of the clamp: (0, inf) for ReLU, (0, 6) for ReLU6, `UNCLAMPED` for none.

    Returns:
        (N, C, H, W), channels last.
    """
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    y: Tensor = _NormClamp.apply(x, norm.weight, norm.bias, norm, bounds)  # type: ignore[no-untyped-call]
    return y


def norm_fits(x: Tensor) -> bool:
    """Whether the compiled code may normalise this map in the current context."""
    return usable(x) and x.dim() == 4 and _channels_last(x) and rows_fit(x.numel() // max(1, x.shape[1]), x.shape[1])


def rows_fit(rows: int, channels: int) -> bool:
    """Whether the compiled code may normalise rows of so many channels, where kernels are in use.

    With fewer channels than lanes it computes as many rows together as there are lanes, and would leave out a remainder.
    """
    lanes = lanes_of_kernels()
    return rows > 1 and channels <= CHANNELS and (channels >= lanes or rows % lanes == 0)


def momentum_of(norm: _BatchNorm) -> float:
    """Weight of the current batch, already counted, in the running statistics, which without a momentum average all batches."""
    assert norm.num_batches_tracked is not None
    return 1.0 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


def _torch_form(x: Tensor, weight: Tensor, bias: Tensor, eps: float, bounds: Bounds) -> Tensor:
    """The same function in torch's own operations, for second derivatives."""
    y = F.batch_norm(x, None, None, weight, bias, True, 0.0, eps)
    return y if bounds == UNCLAMPED else F.hardtanh(y, *bounds)


class _NormClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: _BatchNorm, bounds: Bounds) -> Tensor:
        kernels = loaded()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        channels = x.shape[1]
        y, mean, inverse = torch.empty_like(x), torch.empty(channels), torch.empty(channels)  # 1 / standard deviation
        kernels.norm_forward(
            *(t.data_ptr() for t in (x, y, weight, bias, norm.running_mean, norm.running_var, mean, inverse)),
            *(x.numel() // channels, channels, norm.eps, momentum_of(norm), bounds != UNCLAMPED, *bounds),
        )
        ctx.save_for_backward(x, weight, bias, mean, inverse)
        ctx.eps, ctx.bounds = norm.eps, bounds
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, inverse = ctx.saved_tensors
        (g,) = gradients
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)

            def form(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
                return _torch_form(x, weight, bias, ctx.eps, ctx.bounds)

            return *gradients_of(form, (x, weight, bias), g), None, None
        kernels = loaded()
        g = g.contiguous(memory_format=torch.channels_last)
        dx, dweight, dbias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(bias)
        kernels.norm_backward(
            *(t.data_ptr() for t in (g, x, dx, weight, bias, mean, inverse, dweight, dbias)),
            *(x.numel() // x.shape[1], x.shape[1], ctx.bounds != UNCLAMPED, *ctx.bounds),
        )
        return dx, dweight, dbias, None, None
