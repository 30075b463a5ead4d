"""A whole layer whose kernel is weighed by gates from its pooled input, as ODConv's is: one function with its own way back.

In torch's operations such a layer is some forty calls forward and as many backward, which in a small network take as long as
what they compute. Here one autograd function makes the gates, the kernel of each sample and the convolution, and walks back
through all of it by hand.

Letters in shapes: N batch, C input channels, D output channels, P pixels, k kernel size, n kernels, A width of the attention,
S outputs of all heads; a sample's kernel is a matrix of R rows and M columns: (D, C) for 1x1, (k k, C) depthwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from dcdnas.kernels._library import library
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import usable
from dcdnas.kernels.depthwise import SIZES
from dcdnas.kernels.pointwise import LARGEST

UNBOUNDED = (0.0, float("inf"))
"""The clamp that ReLU is."""


class Gated(NamedTuple):
    """What a layer is besides its parameters.

    The heads' outputs are, in this order, C gates of the input channels, D of the output channels unless it is depthwise, k k of
    the taps if it is, and n of the kernels where there are several: sigmoids of `height`, and a softmax that sums to `mass`.
    """

    norm: _BatchNorm
    """After the squeezing layer, before a ReLU."""
    out_channels: int
    kernel_size: int
    stride: int
    padding: int
    depthwise: bool
    temperature: float
    """That all logits are divided by."""
    height: float
    mass: float
    plain: Callable[..., Tensor]
    """The layer in torch's operations, of a map and the parameters, for derivatives of derivatives; no statistics take note."""


def gated(x: Tensor, layer: Gated, parameters: Sequence[Tensor]) -> Tensor:
    """The layer's output, for a map that `gated_fits` takes; the norm's running statistics take note.

    Equal to torch's to 1e-5 in values, gradients and statistics.

    Args:
        x: (N, C, H, W), channels last.
        layer: what it is.
        parameters: the squeezing layer's weight (A, C), the norm's weight and bias (A,), the kernels (n, D, C k k), or depthwise
            (n, C, k k), and the weight (., A) and the bias of each head.

    Returns:
        (N, D, H', W'), channels last.
    """
    y: Tensor = _Gated.apply(x, layer, *parameters)  # type: ignore[no-untyped-call]
    return y


def gated_fits(x: Tensor, layer: Gated, parameters: Sequence[Tensor]) -> bool:
    """Whether the kernels may compute this layer, here and now.

    Not where a kernel has more elements than the map it is applied to: there gates on the map are less work.
    """
    channels, height, width = x.shape[1:]
    k, padding, elements = layer.kernel_size, layer.padding, layer.out_channels * channels
    if layer.depthwise:
        fits = k in SIZES and padding < k and min(height, width) + 2 * padding >= k
    else:
        fits = k == layer.stride == 1 and padding == 0 and elements <= LARGEST
        fits = fits and elements <= 2 * height * width * (channels + layer.out_channels)
    return (
        fits
        and usable(x, *parameters)
        and layer.norm.momentum is not None
        and len(x) > 1
        and min(x.shape) > 0
        and x.is_contiguous(memory_format=torch.channels_last)
    )


class _Gates(NamedTuple):
    """What the attention computed, for the way back."""

    pooled: Tensor
    squeezed: Tensor
    moments: Tensor
    """(2, A): mean and 1 / standard deviation of what was squeezed."""
    hidden: Tensor
    heads: Tensor
    """(S, A)"""
    gates: Tensor
    """(N, S)"""


def _attention(x: Tensor, layer: Gated, parameters: Sequence[Tensor]) -> _Gates:
    kernels, norm = library(), layer.norm
    assert kernels is not None
    assert norm.num_batches_tracked is not None
    squeeze, weight, bias, own, *heads = parameters
    (n, channels), width = x.shape[:2], len(squeeze)
    pooled = torch.empty(n, channels)
    kernels.pool(x.data_ptr(), pooled.data_ptr(), n, x[0, 0].numel(), channels)
    squeezed = pooled @ squeeze.t()
    hidden, moments = torch.empty_like(squeezed), torch.empty(2, width)
    norm.num_batches_tracked.add_(1)
    kernels.norm_forward(
        *_pointers(squeezed, hidden, weight, bias, norm.running_mean, norm.running_var, *moments),
        *(n, width, norm.eps, norm.momentum, True, *UNBOUNDED),
    )
    joined, share = torch.cat(heads[::2]), 1 / layer.temperature
    logits = torch.addmm(torch.cat(heads[1::2]), hidden, joined.t(), beta=share, alpha=share)
    gates = torch.sigmoid(logits).mul_(layer.height)
    if len(own) > 1:
        gates[:, -len(own) :] = layer.mass * torch.softmax(logits[:, -len(own) :], 1)
    return _Gates(pooled, squeezed, moments, hidden, joined, gates)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Gated, *parameters: Tensor) -> Tensor:
        kernels = library()
        assert kernels is not None
        n, channels, height, width = x.shape
        k, out_channels, own = layer.kernel_size, layer.out_channels, parameters[3]
        found = _attention(x, layer, parameters)
        rows = k * k if layer.depthwise else out_channels
        by_column, by_row = (g.contiguous() for g in (found.gates[:, :channels], found.gates[:, channels : channels + rows]))
        matrices = own.transpose(1, 2).contiguous() if layer.depthwise else own.contiguous()
        mixed = matrices if len(own) == 1 else found.gates[:, -len(own) :] @ matrices.flatten(1)
        kernel = torch.empty(n, rows, channels)
        kernels.weigh(*_pointers(mixed, by_row, by_column, kernel), n, len(own) > 1, rows, channels)
        if layer.depthwise:
            out_height, out_width = ((side + 2 * layer.padding - k) // layer.stride + 1 for side in (height, width))
            ctx.sizes = (n, height, width, channels, out_height, out_width, k, layer.stride, layer.padding)
            y = torch.empty((n, channels, out_height, out_width), memory_format=torch.channels_last)
            room = torch.zeros(kernels.lanes() * (height + 2 * layer.padding) * (width + 2 * layer.padding))
            kernels.depthwise_forward(*_pointers(x, kernel, y, room), *ctx.sizes)
        else:
            ctx.sizes = (n, height * width, channels, out_channels)
            y = torch.empty((n, out_channels, height, width), memory_format=torch.channels_last)
            room = torch.empty(channels * rows)
            kernels.pointwise_forward(*_pointers(x, kernel, None, y, room), *ctx.sizes)
        ctx.layer = layer
        ctx.save_for_backward(x, *parameters)
        ctx.found, ctx.kernel = found, (kernel, matrices, mixed, by_row, by_column)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *parameters = ctx.saved_tensors
        (g,) = gradients
        if torch.is_grad_enabled():  # somebody differentiates the gradient
            dx, *others = gradients_of(ctx.layer.plain, (x, *parameters), g)
            return dx, None, *others
        kernels, layer, found = library(), ctx.layer, ctx.found
        assert kernels is not None
        g = g.contiguous(memory_format=torch.channels_last)
        kernel, matrices, mixed, by_row, by_column = ctx.kernel
        dkernel, dx = torch.empty_like(kernel), torch.empty_like(x)
        if layer.depthwise:
            room = _zeros_around(ctx.sizes, kernels.lanes())
            kernels.depthwise_kernel_gradient(*_pointers(g, x, dkernel, room[0]), *ctx.sizes)
        else:
            kernels.pointwise_kernel_gradient(*_pointers(g, x, dkernel), *ctx.sizes)
        dmixed, drow, dcolumn = (torch.empty_like(t) for t in (mixed, by_row, by_column))
        n, rows, columns = kernel.shape
        several = len(matrices) > 1
        kernels.weigh_gradient(*_pointers(dkernel, mixed, by_row, by_column, dmixed, drow, dcolumn), n, several, rows, columns)
        dgates, dmatrices = [dcolumn, drow], dmixed
        if several:
            weighing = found.gates[:, -len(matrices) :]
            dgates.append(dmixed @ matrices.flatten(1).t())
            dmatrices = (weighing.t() @ dmixed).view(matrices.shape)
        dpooled, of_attention = _attention_gradients(torch.cat(dgates, 1), layer, found, parameters, several)
        base = dpooled.div_(x[0, 0].numel())
        if layer.depthwise:
            kernels.depthwise_input_gradient(*_pointers(g, kernel, base, dx, room[1]), *ctx.sizes)
        else:
            kernels.pointwise_input_gradient(*_pointers(g, kernel, base, dx), *ctx.sizes)
        down = dmatrices.transpose(1, 2) if layer.depthwise else dmatrices
        return dx, None, *of_attention[:3], down.reshape(parameters[3].shape), *of_attention[3:]


def _attention_gradients(
    dgates: Tensor, layer: Gated, found: _Gates, parameters: Sequence[Tensor], several: bool
) -> tuple[Tensor, list[Tensor]]:
    """From the gradients by the gates (N, S): that by what was pooled, and those by the parameters but the kernels."""
    kernels = library()
    assert kernels is not None
    squeeze, weight, bias, own, *heads = parameters
    dlogits = dgates * found.gates
    if several:
        count = len(own)
        shares = dlogits[:, -count:] - found.gates[:, -count:] * (dlogits[:, -count:].sum(1, keepdim=True) / layer.mass)
    dlogits.mul_(1 - found.gates / layer.height)
    if several:
        dlogits[:, -count:] = shares
    dlogits.div_(layer.temperature)
    dhidden = dlogits @ found.heads
    dsqueezed, dnorm = torch.empty_like(dhidden), torch.empty(2, len(squeeze))
    kernels.norm_backward(
        *_pointers(dhidden, found.squeezed, dsqueezed, weight, bias, *found.moments, *dnorm),
        *(*dhidden.shape, True, *UNBOUNDED),
    )
    outputs = [len(head) for head in heads[1::2]]
    of_weights = torch.split(dlogits.t() @ found.hidden, outputs)
    of_biases = torch.split(dlogits.sum(0), outputs)
    of_heads = [gradient for pair in zip(of_weights, of_biases, strict=True) for gradient in pair]
    return dsqueezed @ squeeze, [dsqueezed.t() @ found.pooled, dnorm[0], dnorm[1], *of_heads]


def _zeros_around(sizes: Sequence[int], lanes: int) -> tuple[Tensor, Tensor]:
    """Room for the two gradients of a depthwise layer."""
    _, height, width, _, out_height, out_width, k, stride, padding = sizes
    padded = lanes * (height + 2 * padding) * (width + 2 * padding)
    return torch.zeros(padded), torch.zeros(lanes * (out_height + 2 * k) * (out_width + 2 * k) if stride == 1 else padded)


def _pointers(*tensors: Tensor | None) -> list[int | None]:
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]
