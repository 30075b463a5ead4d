"""Convolution with a separate kernel for each sample, as a grouped convolution or in a form that exporters support.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size, g groups.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.kernels import depthwise, depthwise_fits, pointwise, pointwise_fits
from dcdnas.operators._kernels import per_sample
from dcdnas.operators._product import plus_product, product

Portable = bool | Literal["folded"]
"""Whether the batch stays out of the groups of a convolution; "folded": it may be folded into them, because the exporter that
traces the operator separates it again."""


def taps(x: Tensor, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> list[Tensor]:
    """The shifted inputs that the k*k taps of a convolution's kernel read, row by row: k*k views of (N, C, H', W')."""
    if padding:
        x = F.pad(x, (padding, padding, padding, padding))
    reach = dilation * (kernel_size - 1)
    height, width = x.shape[-2] - reach, x.shape[-1] - reach
    offsets = range(0, reach + 1, dilation)
    rows = [x[..., u : u + height : stride, :] for u in offsets]
    return [row[..., v : v + width : stride] for row in rows for v in offsets]


def centred(x: Tensor, kernel_size: int, padding: int = 0, dilation: int = 1) -> Tensor:
    """Pads or crops x so that a strided 1x1 convolution without padding reads the same pixels as the tap (k//2, k//2)."""
    before = padding - dilation * (kernel_size // 2)
    after = padding - dilation * (kernel_size - 1 - kernel_size // 2)
    return F.pad(x, (before, after, before, after)) if before or after else x


def per_sample_conv2d(
    x: Tensor,
    weight: Tensor,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    portable: Portable = False,
    bias: Tensor | None = None,
) -> Tensor:
    """Convolves each sample with its own kernel.

    A dense 1x1 kernel is one batched matrix product. For other kernels, the batch is folded into the groups of one convolution.
    If `portable` is set, and in compilers, the taps are summed one by one instead: this takes the same multiply-adds but keeps
    the batch a separate axis, which ONNX, tracing and `torch.compile` require for a variable batch size. A program compiled for
    a single image uses one plain convolution, because runtimes can fuse its bias and activation. Depthwise and dense 1x1 layers
    use compiled kernels in training (`dcdnas.kernels`).

    Args:
        x: (N, C, H, W).
        weight: (N, D, C/g, k, k).
        stride: as in Conv2d.
        padding: as in Conv2d.
        dilation: as in Conv2d.
        groups: g.
        portable: keeps the batch out of the groups; "folded" folds it into the groups even in compilers.
        bias: (D,) for all samples, or (N, D).

    Returns:
        (N, D, H', W').
    """
    weight = per_sample(weight)
    if torch.compiler.is_compiling() and not portable and x.shape[0] == 1:
        bias = bias if bias is None else bias.flatten()
        return F.conv2d(x, weight.flatten(0, 1), bias, stride, padding, dilation, groups)
    if weight.shape[-1] == 1 and groups == 1:
        pixels = x if stride == 1 and not padding else taps(x, 1, stride, padding)[0]
        return _pointwise(pixels, weight.flatten(2), bias)
    if portable != "folded" and (portable or torch.compiler.is_compiling() or x.shape[0] == 0):
        sum_up = _stacked_taps if portable and weight.shape[1:3] == (groups, 1) else _by_taps
        y = sum_up(x, weight, stride, padding, dilation, groups)
        return y if bias is None else y + bias[..., None, None]
    if depthwise_fits(x, weight, padding, dilation, groups):
        y = depthwise(x, weight, stride, padding)
        return y if bias is None else y + bias[..., None, None]
    n, channels = x.shape[:2]
    folded = x.reshape(1, n * channels, *x.shape[2:])
    if folded.shape[2:] == (1, 1):  # with the strides of channels-last memory, torch's backward pass would fail
        folded = folded.flatten().view(folded.shape)
    inside = None if bias is None or portable else bias.expand(n, -1).flatten()
    kernels = weight.flatten(0, 1)
    if dilation > 1 and not torch.compiler.is_compiling():  # with a bias, torch crashes on kernels in channels-last memory
        kernels = kernels.contiguous()
    y = F.conv2d(folded, kernels, inside, stride, padding, dilation, n * groups)
    y = y.view(n, -1, *y.shape[2:])
    return y + bias[..., None, None] if bias is not None and portable else y


def _by_taps(x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int, groups: int) -> Tensor:
    seen = taps(x, weight.shape[-1], stride, padding, dilation)
    kernels = weight.flatten(3).unbind(-1)
    total = _tap(seen[0], kernels[0], groups)
    for pixels, kernel in zip(seen[1:], kernels[1:], strict=True):
        total = total + _tap(pixels, kernel, groups)
    return total


def _stacked_taps(x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int, groups: int) -> Tensor:
    """Computes a depthwise layer with one product and one sum, because exporters spend 10 to 20 ms on each operation."""
    seen = taps(x, weight.shape[-1], stride, padding, dilation)
    kernels = weight.flatten(2).transpose(1, 2).reshape(-1, len(seen) * groups, 1, 1)
    return torch.unflatten(product(torch.cat(seen, 1), kernels), 1, (len(seen), groups)).sum(1)


def _tap(pixels: Tensor, kernel: Tensor, groups: int) -> Tensor:
    """Contribution of one tap: its pixels (N, C, H', W') and kernel (N, D, C/g) -> (N, D, H', W')."""
    out_channels, in_channels = kernel.shape[1:]
    if in_channels == 1 and out_channels == groups:
        return product(pixels, kernel.unsqueeze(-1))
    if groups == 1:
        return _pointwise(pixels, kernel, None)
    grouped = torch.unflatten(kernel, 1, (groups, -1)) @ torch.unflatten(pixels.flatten(2), 1, (groups, in_channels))
    return torch.unflatten(grouped.flatten(1, 2), -1, pixels.shape[2:])


def _pointwise(pixels: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """1x1 convolution: pixels (N, C, H', W'), kernel (N, D, C), bias (D,) or (N, D) -> (N, D, H', W') in the pixels' layout."""
    d, height, width = kernel.shape[1], *pixels.shape[2:]
    if pointwise_fits(pixels, kernel, bias):
        return pointwise(pixels, kernel, bias)
    if pixels.is_contiguous(memory_format=torch.channels_last) and not pixels.is_contiguous():
        rows = pixels.permute(0, 2, 3, 1).flatten(1, 2)  # a view of the same memory, one row for each pixel
        kernel = kernel.transpose(1, 2)
        y = rows @ kernel if bias is None else plus_product(bias.view(-1, 1, bias.shape[-1]), rows, kernel)
        return y.view(-1, height, width, d).permute(0, 3, 1, 2)
    y = kernel @ pixels.flatten(2) if bias is None else plus_product(bias.unsqueeze(-1), kernel, pixels.flatten(2))
    return y.view(-1, d, height, width)
