"""Average pooling to one pixel or a few, written as sums: their gradient is a few numbers for each channel, which are never
expanded to a whole map in memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.operators._arguments import traced


def pooled(x: Tensor) -> Tensor:
    """Computes the mean over the map: (N, C, H, W) -> (N, C)."""
    if not torch.is_grad_enabled() or _accumulator(x) is not None:
        return x.mean((2, 3))
    return x.sum((2, 3)) / (x.shape[2] * x.shape[3])


def quarters(x: Tensor) -> Tensor:
    """Computes the means of the map's four quarters, (N, C, H, W) -> (N, 4 C), which overlap as in adaptive average pooling.

    Exporters get one pooling operation instead of the sums. It is slower in PyTorch, but one node instead of six in a runtime.
    """
    height, width = x.shape[-2:]
    if torch.compiler.is_exporting() and min(height, width) > 1:
        return F.avg_pool2d(x, ((height + 1) // 2, (width + 1) // 2), (height // 2, width // 2)).flatten(1)
    total = _halves(_halves(x, 2), 3) / ((height + 1) // 2 * ((width + 1) // 2))
    return total.to(x.dtype).flatten(1)


def tiles(x: Tensor, side: int) -> Tensor:
    """Computes the means of side x side tiles, (N, C, H, W) -> (N, C, side, side), with the bounds of adaptive average pooling.

    Training on a CPU calls torch's pooling, because the gradients of slices fill a map for each of them. Elsewhere it averages
    rows first, then columns, in slices with fixed bounds: every exporter supports them, and their gradients are deterministic
    on a GPU.
    """
    if x.is_cpu and torch.is_grad_enabled() and not traced():
        return F.adaptive_avg_pool2d(x, side)
    return _intervals(_intervals(x, 2, side), 3, side).to(x.dtype)


def bands(x: Tensor, count: int) -> Tensor:
    """Computes the means of `count` successive intervals of the map's pixels, read row by row: (N, C, H, W) -> (N, C, count).

    The bounds are those of adaptive average pooling of the flattened map.
    """
    return _intervals(x.flatten(2), 2, count).to(x.dtype)


def _intervals(x: Tensor, axis: int, count: int) -> Tensor:
    """Means over `count` intervals of an axis, which overlap if `count` does not divide its length; one entry for each."""
    length, kind = x.shape[axis], _accumulator(x)
    if length == count:
        return x
    bounds = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
    return torch.stack([x.narrow(axis, a, b - a).mean(axis, dtype=kind) for a, b in bounds], axis)


def _halves(x: Tensor, axis: int) -> Tensor:
    """Sums of the two halves of an axis, which share the middle entry if its length is odd; the result has length 2."""
    length, kind = x.shape[axis], _accumulator(x)
    if length % 2 == 0:
        return torch.unflatten(x, axis, (2, length // 2)).sum(axis + 1, dtype=kind)
    half = (length + 1) // 2
    parts = x.narrow(axis, 0, half), x.narrow(axis, length - half, half)
    return torch.stack([part.sum(axis, dtype=kind) for part in parts], axis)


def _accumulator(x: Tensor) -> torch.dtype | None:
    """The dtype in which to sum; float32 for half precision, which the sum over a large map overflows."""
    return torch.float32 if x.dtype == torch.float16 else None
