"""Dynamic activation: the maximum of two linear functions with coefficients for each sample and channel.

Letters in shapes: N batch, C channels, H W map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dcdnas.kernels._convolving import pointers
from dcdnas.kernels._library import loaded
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable


def dynamic_activation(x: Tensor, coefficients: Tensor, shifted: bool, plain: Callable[..., Tensor]) -> Tensor:
    """Computes max(a1_c x_c + b1_c z_c, a2_c x_c + b2_c z_c), for maps that `dynamic_activation_fits` accepts.

    Values and gradients equal those of torch's operations to 1e-5.

    Args:
        x: (N, C, H, W), channels last.
        coefficients: (4, N, C): a1, b1, a2, b2.
        shifted: whether z_c is x_{c+1}, with c + 1 modulo C; otherwise it is 1.
        plain: the same function of x and the coefficients in torch's operations, for second derivatives.

    Returns:
        (N, C, H, W), channels last.
    """
    y: Tensor = _DynamicActivation.apply(x, coefficients, shifted, plain)  # type: ignore[no-untyped-call]
    return y


def dynamic_activation_fits(x: Tensor, coefficients: Tensor) -> bool:
    """Whether the compiled code may compute the activation in the current context."""
    return usable(x, coefficients) and min(x.shape) > 0 and x.is_contiguous(memory_format=torch.channels_last)


class _DynamicActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, shifted: bool, plain: Callable[..., Tensor]) -> Tensor:
        n, channels, height, width = x.shape
        dense, y, room = coefficients.contiguous(), torch.empty_like(x), torch.empty(channels)
        ctx.sizes = (n, height * width, channels, shifted)
        loaded().dynamic_activation_forward(*pointers(x, dense, y, room), *ctx.sizes)
        ctx.save_for_backward(x, coefficients)
        ctx.dense, ctx.plain = dense, plain
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, coefficients = ctx.saved_tensors
        (g,) = gradients
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)
            return *gradients_of(ctx.plain, (x, coefficients), g), None, None
        g = g.contiguous(memory_format=torch.channels_last)
        dx, found, room = torch.empty_like(x), torch.empty_like(ctx.dense), torch.empty(6 * x.shape[1])
        loaded().dynamic_activation_backward(*pointers(g, x, ctx.dense, dx, found, room), *ctx.sizes)
        return dx, found, None, None
