"""Convolution with one kernel per region of the map, at about the cost of one convolution and with shapes independent of regions.

The pixels of a sample are sorted by region, and each region is padded to whole blocks; then one batched matrix product
multiplies each block by its region's kernel. P pixels in m regions of any shape fit into floor((P + m (b - 1)) / b) blocks of b,
so every shape is known in advance, which exporters and compilers require.

Letters in shapes: N batch, C input channels, D output channels, k kernel size, g groups, P pixels, m regions, b pixels per
block, S slots (pixels of all blocks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.operators._per_sample import taps
from dcdnas.operators._product import product


def block_size(pixels: int, regions: int) -> int:
    """Returns b, the largest power of two up to sqrt(P / m), which balances empty slots against copies of kernels."""
    return 1 << max(0, int(math.log2(math.sqrt(pixels / regions) + 1e-9)))


def block_count(pixels: int, regions: int) -> int:
    """Number of blocks that hold the pixels for any division into regions."""
    b = block_size(pixels, regions)
    return (pixels + regions * (b - 1)) // b


def depthwise_by_region(seen: Sequence[Tensor], region: Tensor, kernels: Tensor) -> Tensor:
    """`convolve_by_region` for depthwise convolutions, whose kernels are small enough to be copied for each pixel.

    Args:
        seen: the shifted input that each tap reads, (N, C, H', W').
        region: (N, H', W').
        kernels: (N, m, C, k^2).

    Returns:
        (N, C, H', W').
    """
    index = region.flatten(1).unsqueeze(1).expand(-1, kernels.shape[2], -1)
    weights = (tap.transpose(1, 2).gather(2, index) for tap in kernels.unbind(3))
    weighed = [product(x, torch.unflatten(w, 2, region.shape[1:])) for x, w in zip(seen, weights, strict=True)]
    return sum(weighed[1:], weighed[0])


def convolve_by_region(pixels: Tensor, region: Tensor, kernels: Tensor, groups: int) -> Tensor:
    """Multiplies each pixel by the kernel of its region.

    Args:
        pixels: (N, P, C k^2), the inputs of the kernel at each output pixel.
        region: (N, P), integers below m.
        kernels: (N, m, D, C/g k^2).
        groups: g.

    Returns:
        (N, P, D).
    """
    count, regions = region.shape[1], kernels.shape[1]
    b, blocks = block_size(count, regions), block_count(count, regions)
    slot, block_region = _places(region, regions, b, blocks)
    order = torch.zeros_like(slot[:, :1]).expand(-1, b * blocks).scatter(1, slot, _counting(slot, count).expand_as(slot))
    moved = torch.unflatten(torch.unflatten(_rows(pixels, order), 1, (blocks, b)), 3, (groups, -1)).transpose(2, 3)
    chosen = torch.unflatten(_rows(kernels.flatten(2), block_region), 2, (groups, kernels.shape[2] // groups, -1))
    outputs = (moved @ chosen.transpose(3, 4)).transpose(2, 3).flatten(3).flatten(1, 2)
    return _rows(outputs, slot)


def convolve_by_sorted_region(pixels: Tensor, region: Tensor, kernels: Tensor, groups: int) -> Tensor:
    """`convolve_by_region` with one matrix product for each sample and region; the sizes depend on the regions.

    It is several times faster on a CPU, because no kernel is copied for each block, but exporters and compilers cannot use it.
    """
    order = region.argsort(1)
    sizes = F.one_hot(region, kernels.shape[1]).sum(1).tolist()
    sorted_pixels = torch.unflatten(_rows(pixels, order), 2, (groups, -1)).transpose(1, 2)
    filters = torch.unflatten(kernels, 2, (groups, -1)).transpose(3, 4)
    parts = [
        part @ kernel
        for sample, of_sample, counts in zip(sorted_pixels, filters, sizes, strict=True)
        for part, kernel in zip(sample.split(counts, 1), of_sample, strict=True)
    ]
    together = torch.cat(parts, 1) if parts else sorted_pixels.new_zeros(groups, 0, filters.shape[-1])
    outputs = torch.unflatten(together.transpose(0, 1).flatten(1), 0, region.shape)
    return _rows(outputs, order.argsort(1))


def _places(region: Tensor, regions: int, b: int, blocks: int) -> tuple[Tensor, Tensor]:
    """Returns the slot of each pixel, (N, P), and the region of each block, (N, S / b)."""
    inside = F.one_hot(region, regions)
    rank = inside.cumsum(1).gather(2, region.unsqueeze(2)).squeeze(2) - 1
    filled = (inside.sum(1) + (b - 1)) // b
    ends = filled.cumsum(1)
    slot = (ends - filled).gather(1, region) * b + rank
    passed = _counting(slot, blocks)[:, None] >= ends[:, None]
    return slot, passed.sum(2).clamp(max=regions - 1)


def _counting(like: Tensor, end: int) -> Tensor:
    return torch.arange(end, device=like.device)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Selects rows of each sample by index: values (N, R, F) and indices (N, S) below R -> (N, S, F)."""
    first = _counting(index, index.shape[0])[:, None] * values.shape[1]
    return torch.unflatten(values.flatten(0, 1).index_select(0, (index + first).flatten()), 0, index.shape)


def pixel_rows(x: Tensor, kernel_size: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Collects the inputs of the kernel at each output pixel: (N, C, H, W) -> (N, P, C k^2)."""
    seen = torch.stack(taps(x, kernel_size, stride, padding, dilation), 2)
    return seen.flatten(3).flatten(1, 2).transpose(1, 2)
