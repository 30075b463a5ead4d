"""A whole layer of a static kernel, a scale and a low-rank dynamic residual, as DCD is: one function with its own way back.

Letters in shapes: N batch, C input channels, D output channels, k kernel size, S width of the controller. A sample's kernel is
the matrix scale . W + X Psi Y of R rows and C columns: for 1x1 (D, C), its rows scaled, with X (D, L), Psi (L, L), Y (L, C);
depthwise (k k, C), its columns scaled, with X (k k, K), Psi (K, L), Y (L, C).
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
"""Of a scale, which is at least 0: hs(t) = relu6(t + 3) / 3."""


class Decomposed(NamedTuple):
    """What a layer is besides its parameters."""

    place: Place
    plain: Callable[..., Tensor]
    """The layer in torch's operations, of a map and the parameters, for derivatives of derivatives."""


def decomposed(x: Tensor, layer: Decomposed, parameters: Sequence[Tensor]) -> Tensor:
    """The layer's output, for a map that `decomposed_fits` takes.

    Equal to torch's to 1e-5 in values and gradients.

    Args:
        x: (N, C, H, W), channels last.
        layer: what it is.
        parameters: the weights of the squeezing layer (S, C), of the head of Phi and of the scales (D, S); W (D, C, k, k) or
            (C, 1, k, k); P (D, L); Q (L, C), or depthwise R (k k, K), either with more axes of length 1.

    Returns:
        (N, D, H', W'), channels last.
    """
    y: Tensor = _Decomposed.apply(x, layer, *parameters)  # type: ignore[no-untyped-call]
    return y


def decomposed_fits(x: Tensor, layer: Decomposed, parameters: Sequence[Tensor]) -> bool:
    """Whether the kernels may compute this layer, here and now."""
    return usable(x, *parameters) and layer.place.fits(x)


class _Controlled(NamedTuple):
    """What the controller computed, for the way back."""

    pooled: Tensor
    hidden: Tensor
    unclamped: Tensor
    """(N, D): scales before they are cut."""
    scale: Tensor
    psi: Tensor
    """(N, X's columns, Y's rows)"""


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
        if torch.is_grad_enabled():  # somebody differentiates the gradient
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
    """From the gradients by Phi (N, .) and the scales (N, D): that by what was pooled, and those by the controller's weights."""
    squeeze, phi, scale = parameters[:3]
    dlogits = (dscale * ((found.unclamped >= 0) & (found.unclamped <= HIGHEST))).div_(3)
    dhidden = (dphi @ phi).addmm_(dlogits, scale)
    dsqueezed = dhidden.mul_(found.hidden > 0)
    return dsqueezed @ squeeze, [dsqueezed.t() @ found.pooled, dphi.t() @ found.hidden, dlogits.t() @ found.hidden]
