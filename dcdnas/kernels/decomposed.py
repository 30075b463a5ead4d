"""A layer like DCD (static kernel, scale and low-rank dynamic residual), fused into one function with a backward pass.

Letters in shapes: N batch, C input channels, D output channels, k kernel size, S width of the controller. A sample's kernel is
the matrix scale . W + X Psi Y with R rows and C columns. For a 1x1 layer it is (D, C), with scaled rows, X (D, L), Psi (L, L) and
Y (L, C); for a depthwise layer (k k, C), with scaled columns, X (k k, K), Psi (K, L) and Y (L, C).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dcdnas.kernels._convolving import Place, pooled, weighed, weighed_gradients
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable

HIGHEST = 2.0
"""Largest value of a scale, hs(t) = relu6(t + 3) / 3; the smallest is 0."""


class Decomposed(NamedTuple):
    """Description of a layer, without its parameters."""

    place: Place
    plain: Callable[..., Tensor]
    """The layer as a function of map and parameters in torch's operations, for second derivatives."""


def decomposed(x: Tensor, layer: Decomposed, parameters: Sequence[Tensor]) -> Tensor:
    """Computes the layer's output, for a map that `decomposed_fits` accepts.

    Values and gradients equal torch's to 1e-5.

    Args:
        x: (N, C, H, W), channels last.
        layer: description of the layer.
        parameters: the weights of the squeezing layer (S, C), of the head of Phi (., S) and of the scales (D, S); W (D, C, k, k)
            or (C, 1, k, k); P (D, L); Q (L, C), or R (k k, K) for a depthwise layer, either with further axes of length 1.

    Returns:
        (N, D, H', W'), channels last.
    """
    y: Tensor = _Decomposed.apply(x, layer, *parameters)  # type: ignore[no-untyped-call]
    return y


def decomposed_fits(x: Tensor, layer: Decomposed, parameters: Sequence[Tensor]) -> bool:
    """Whether the compiled kernels may compute this layer in the current context."""
    return usable(x, *parameters) and layer.place.fits(x)


class _Controlled(NamedTuple):
    """Results of the controller, kept for the backward pass."""

    pooled: Tensor
    hidden: Tensor
    unclamped: Tensor
    """(N, D): the scales before clamping."""
    scale: Tensor
    psi: Tensor
    """(N, columns of X, rows of Y)"""


def _controlled(x: Tensor, inner: tuple[int, int], depthwise: bool, parameters: Sequence[Tensor]) -> _Controlled:
    squeeze, phi, scale = parameters[:3]
    looked_at = pooled(x)
    hidden = torch.relu(looked_at @ squeeze.t())
    unclamped = torch.addmm(hidden.new_ones(1), hidden, scale.t(), alpha=1 / 3)
    psi = hidden @ phi.t()
    psi = psi.view(-1, *inner[::-1]).transpose(1, 2) if depthwise else psi.view(-1, *inner)
    return _Controlled(looked_at, hidden, unclamped, unclamped.clamp(0.0, HIGHEST), psi)


class _Decomposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Decomposed, *parameters: Tensor) -> Tensor:
        static, p, other = (t.flatten(1) for t in parameters[3:])
        depthwise, rows, channels = layer.place.depthwise, layer.place.rows(), x.shape[1]
        if depthwise:
            static, left, right = static.t().contiguous(), other, p.t()
        else:
            left, right = p, other
        found = _controlled(x, (left.shape[1], len(right)), depthwise, parameters)
        ones = torch.ones(len(x), rows if depthwise else channels)
        gates = (ones, found.scale) if depthwise else (found.scale, ones)
        turned = torch.einsum("rl,nlm->nrm", left, found.psi).reshape(-1, len(right))
        kernel = weighed(static, *gates).view(-1, channels).addmm_(turned, right).view(-1, rows, channels)
        ctx.save_for_backward(x, *parameters)
        ctx.layer, ctx.found, ctx.kernel = layer, found, (kernel, static, gates, turned, left, right)
        return layer.place.forward(x, kernel)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *parameters = ctx.saved_tensors
        layer, (g,) = ctx.layer, gradients
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)
            dx, *others = gradients_of(layer.plain, (x, *parameters), g)
            return dx, None, *others
        g = g.contiguous(memory_format=torch.channels_last)
        kernel, static, gates, turned, left, right = ctx.kernel
        dkernel = layer.place.kernel_gradient(g, x)
        dstatic, *dgates = weighed_gradients(dkernel, static, *gates)
        flat = dkernel.view(-1, x.shape[1])
        dright, dturned = turned.t() @ flat, (flat @ right.t()).view(*dkernel.shape[:2], -1)
        dpsi = torch.einsum("rl,nrm->nlm", left, dturned)
        dleft = torch.einsum("nrm,nlm->rl", dturned, ctx.found.psi)
        depthwise = layer.place.depthwise
        dpooled, of_controller = _controller_gradients(
            (dpsi.transpose(1, 2) if depthwise else dpsi).reshape(len(x), -1), dgates[depthwise], ctx.found, parameters
        )
        dx = layer.place.input_gradient(g, x, kernel, dpooled.div_(x[0, 0].numel()))
        dp, dother = (dright.t(), dleft) if depthwise else (dleft, dright)
        own = (dstatic.t() if depthwise else dstatic, dp, dother)
        of_own = (one.reshape(parameter.shape) for one, parameter in zip(own, parameters[3:], strict=True))
        return dx, None, *of_controller, *of_own


def _controller_gradients(
    dphi: Tensor, dscale: Tensor, found: _Controlled, parameters: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Gradients of the pooled input and of the controller's weights, from those of Phi (N, .) and of the scales (N, D)."""
    squeeze, phi, scale = parameters[:3]
    dlogits = (dscale * ((found.unclamped >= 0) & (found.unclamped <= HIGHEST))).div_(3)
    dhidden = (dphi @ phi).addmm_(dlogits, scale)
    dsqueezed = dhidden.mul_(found.hidden > 0)
    return dsqueezed @ squeeze, [dsqueezed.t() @ found.pooled, dphi.t() @ found.hidden, dlogits.t() @ found.hidden]
