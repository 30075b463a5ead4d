"""A layer like ODConv, whose kernel is weighted by gates from its pooled input, fused into one function with a backward pass.

In torch's operations such a layer is about forty calls forward and as many backward; in a small network their overhead takes as
long as the computation. Here a single autograd function computes the gates, the kernel of each sample and the convolution, and
its backward pass is written out explicitly.

Letters in shapes: N batch, C input channels, D output channels, P pixels, k kernel size, n kernels, A width of the attention,
S outputs of all heads; a sample's kernel is a matrix with R rows and C columns: (D, C) for a 1x1 layer, (k k, C) for a depthwise
one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from dcdnas.kernels._convolving import Place, pointers, pooled, weighed, weighed_gradients
from dcdnas.kernels._library import loaded
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable
from dcdnas.kernels.norm import momentum_of, rows_fit

UNBOUNDED = (0.0, float("inf"))
"""Bounds of the clamp that equals ReLU."""


class Gated(NamedTuple):
    """Description of a layer, without its parameters.

    The heads' outputs are, in this order: C gates of the input channels, then D gates of the output channels or, for a depthwise
    layer, k k gates of the taps, and n gates of the kernels where there are several. The gates of kernels are a softmax that sums
    to `mass`; all others are sigmoids times `height`.
    """

    norm: _BatchNorm
    """BatchNorm between the squeezing layer and its ReLU."""
    place: Place
    temperature: Tensor
    """Single number by which all logits are divided."""
    height: float
    mass: float
    plain: Callable[..., Tensor]
    """The layer as a function of map and parameters in torch's operations, for second derivatives; updates no statistics."""


def gated(x: Tensor, layer: Gated, parameters: Sequence[Tensor]) -> Tensor:
    """Computes the layer's output, for a map that `gated_fits` accepts, and updates the norm's running statistics.

    Values, gradients and statistics equal torch's to 1e-5.

    Args:
        x: (N, C, H, W), channels last.
        layer: description of the layer.
        parameters: the weight of the squeezing layer (A, C), weight and bias of the norm (A,), the kernels (n, D, C k k), or
            (n, C, k k) for a depthwise layer, and the weight (., A) and bias of each head.

    Returns:
        (N, D, H', W'), channels last.
    """
    y: Tensor = _Gated.apply(x, layer, *parameters)  # type: ignore[no-untyped-call]
    return y


def gated_fits(x: Tensor, layer: Gated, parameters: Sequence[Tensor]) -> bool:
    """Whether the compiled kernels may compute this layer in the current context."""
    return usable(x, *parameters) and layer.place.fits(x) and rows_fit(len(x), len(parameters[0]))


class _Gates(NamedTuple):
    """Results of the attention, kept for the backward pass."""

    pooled: Tensor
    squeezed: Tensor
    moments: Tensor
    """(2, A): mean and 1 / standard deviation of `squeezed`."""
    hidden: Tensor
    heads: Tensor
    """(S, A)"""
    gates: Tensor
    """(N, S)"""
    share: float
    """Factor on the logits: 1 / temperature."""


def _attention(x: Tensor, layer: Gated, parameters: Sequence[Tensor]) -> _Gates:
    norm = layer.norm
    assert norm.num_batches_tracked is not None
    squeeze, weight, bias, own, *heads = parameters
    looked_at = pooled(x)
    squeezed = looked_at @ squeeze.t()
    hidden, moments = torch.empty_like(squeezed), torch.empty(2, len(squeeze))
    norm.num_batches_tracked.add_(1)
    loaded().norm_forward(
        *pointers(squeezed, hidden, weight, bias, norm.running_mean, norm.running_var, *moments),
        *(*squeezed.shape, norm.eps, momentum_of(norm), True, *UNBOUNDED),
    )
    joined, share = torch.cat(heads[::2]), 1 / float(layer.temperature)
    logits = torch.addmm(torch.cat(heads[1::2]), hidden, joined.t(), beta=share, alpha=share)
    gates = torch.sigmoid(logits).mul_(layer.height)
    if len(own) > 1:
        gates[:, -len(own) :] = layer.mass * torch.softmax(logits[:, -len(own) :], 1)
    return _Gates(looked_at, squeezed, moments, hidden, joined, gates, share)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Gated, *parameters: Tensor) -> Tensor:
        found, own, channels, rows = _attention(x, layer, parameters), parameters[3], x.shape[1], layer.place.rows()
        by_column, by_row = (g.contiguous() for g in (found.gates[:, :channels], found.gates[:, channels : channels + rows]))
        matrices = own.transpose(1, 2).contiguous() if layer.place.depthwise else own.contiguous()
        mixed = matrices[0]
        if len(own) > 1:
            mixed = (found.gates[:, -len(own) :] @ matrices.flatten(1)).view(-1, rows, channels)
        kernel = weighed(mixed, by_row, by_column)
        ctx.save_for_backward(x, *parameters)
        ctx.layer, ctx.found, ctx.kernel = layer, found, (kernel, matrices, mixed, by_row, by_column)
        return layer.place.forward(x, kernel)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *parameters = ctx.saved_tensors
        layer, found, (g,) = ctx.layer, ctx.found, gradients
        if torch.is_grad_enabled():  # the gradient itself is differentiated (create_graph=True)
            dx, *others = gradients_of(layer.plain, (x, *parameters), g)
            return dx, None, *others
        g = g.contiguous(memory_format=torch.channels_last)
        kernel, matrices, mixed, by_row, by_column = ctx.kernel
        dmixed, drow, dcolumn = weighed_gradients(layer.place.kernel_gradient(g, x), mixed, by_row, by_column)
        dgates, dmatrices = [dcolumn, drow], dmixed.view(-1, *matrices.shape[1:])
        if len(matrices) > 1:
            dgates.append(dmixed.flatten(1) @ matrices.flatten(1).t())
            dmatrices = (found.gates[:, -len(matrices) :].t() @ dmixed.flatten(1)).view(matrices.shape)
        dpooled, of_attention = _attention_gradients(torch.cat(dgates, 1), layer, found, parameters)
        dx = layer.place.input_gradient(g, x, kernel, dpooled.div_(x[0, 0].numel()))
        down = dmatrices.transpose(1, 2) if layer.place.depthwise else dmatrices
        return dx, None, *of_attention[:3], down.reshape(parameters[3].shape), *of_attention[3:]


def _attention_gradients(
    dgates: Tensor, layer: Gated, found: _Gates, parameters: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Gradients of the pooled input and of all parameters except the kernels, from the gradients of the gates (N, S)."""
    squeeze, weight, bias, own, *heads = parameters
    dlogits, count = dgates * found.gates, len(own)
    if count > 1:
        kernels = dlogits[:, -count:]
        shares = kernels - found.gates[:, -count:] * (kernels.sum(1, keepdim=True) / layer.mass)
    dlogits.mul_(1 - found.gates / layer.height)
    if count > 1:
        dlogits[:, -count:] = shares
    dlogits.mul_(found.share)
    dhidden = dlogits @ found.heads
    dsqueezed, dnorm = torch.empty_like(dhidden), torch.empty(2, len(squeeze))
    loaded().norm_backward(
        *pointers(dhidden, found.squeezed, dsqueezed, weight, bias, *found.moments, *dnorm),
        *(*dhidden.shape, True, *UNBOUNDED),
    )
    outputs = [len(head) for head in heads[1::2]]
    of_weights = torch.split(dlogits.t() @ found.hidden, outputs)
    of_biases = torch.split(dlogits.sum(0), outputs)
    of_heads = [gradient for pair in zip(of_weights, of_biases, strict=True) for gradient in pair]
    return dsqueezed @ squeeze, [dsqueezed.t() @ found.pooled, dnorm[0], dnorm[1], *of_heads]
