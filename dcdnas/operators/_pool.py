"""Average pooling to one pixel and a few, written as sums: their gradient is a few numbers a channel, never spread over a map in
memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pooled(x: Tensor) -> Tensor:
    """The mean over the map: (N, C, H, W) -> (N, C)."""
    if not torch.is_grad_enabled() or _accumulator(x) is not None:
        return x.mean((2, 3))
    return x.sum((2, 3)) / (x.shape[2] * x.shape[3])


def quarters(x: Tensor) -> Tensor:
    """The means of the map's four quarters, (N, C, H, W) -> (N, 4 C), cut and overlapping as adaptive average pooling does.

    Exported they are one pooling, which here takes longer than the sums and in a runtime is one node in place of six.
    """
    height, width = x.shape[-2:]
    if torch.compiler.is_exporting() and min(height, width) > 1:
        return F.avg_pool2d(x, ((height + 1) // 2, (width + 1) // 2), (height // 2, width // 2)).flatten(1)
    total = _halves(_halves(x, 2), 3) / ((height + 1) // 2 * ((width + 1) // 2))
    return total.to(x.dtype).flatten(1)


def tiles(x: Tensor, side: int) -> Tensor:
    """The means of side x side tiles of the map, (N, C, H, W) -> (N, C, side, side), cut as adaptive average pooling does.

    Rows first, then columns, in slices of fixed bounds, which every exporter knows.
    """
    return _bands(_bands(x, 2, side), 3, side).to(x.dtype)


def _bands(x: Tensor, axis: int, count: int) -> Tensor:
    """Means over `count` stretches of an axis, which overlap where it is no multiple; the axis is as long afterwards."""
    length, kind = x.shape[axis], _accumulator(x)
    if length == count:
        return x
    bounds = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
    return torch.stack([x.narrow(axis, a, b - a).mean(axis, dtype=kind) for a, b in bounds], axis)


def _halves(x: Tensor, axis: int) -> Tensor:
    """Sums of the two halves of an axis, which share its middle where its length is odd; the axis has length 2 afterwards."""
    length, kind = x.shape[axis], _accumulator(x)
    if length % 2 == 0:
        return torch.unflatten(x, axis, (2, length // 2)).sum(axis + 1, dtype=kind)
    half = (length + 1) // 2
    parts = x.narrow(axis, 0, half), x.narrow(axis, length - half, half)
    return torch.stack([part.sum(axis, dtype=kind) for part in parts], axis)


def _accumulator(x: Tensor) -> torch.dtype | None:
    """The type of a sum: a large map's does not fit into half precision."""
    return torch.float32 if x.dtype == torch.float16 else None
