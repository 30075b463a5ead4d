"""Forward and backward pass of the convolution inside a fused layer: 1x1 or depthwise, with one kernel per sample.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size; a sample's kernel is a matrix with R rows
and C columns: (D, C) for a 1x1 layer, (k k, C) for a depthwise one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dcdnas.kernels._library import loaded
from dcdnas.kernels.depthwise import SIZES
from dcdnas.kernels.pointwise import LARGEST


class Place(NamedTuple):
    """Geometry of a layer's convolution."""

    out_channels: int
    kernel_size: int
    stride: int
    padding: int
    depthwise: bool

    def fits(self, x: Tensor) -> bool:
        """Whether the compiled kernels can convolve this map.

        False where a 1x1 kernel has more than twice the elements of its input and output maps, because other forms of the layer
        then need less work.
        """
        channels, height, width = x.shape[1:]
        k, elements = self.kernel_size, self.out_channels * channels
        if self.depthwise:
            fits = self.out_channels == channels and k in SIZES
            fits = fits and self.padding < k and min(height, width) + 2 * self.padding >= k
        else:
            fits = k == self.stride == 1 and self.padding == 0 and elements <= LARGEST
            fits = fits and elements <= 2 * height * width * (channels + self.out_channels)
        return fits and len(x) > 1 and min(x.shape) > 0 and x.is_contiguous(memory_format=torch.channels_last)

    def rows(self) -> int:
        """R, the number of rows of a sample's kernel matrix."""
        return self.kernel_size**2 if self.depthwise else self.out_channels

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Convolves maps (N, C, H, W), channels last, with kernels (N, R, C): (N, D, H', W')."""
        sizes, lanes = self._sizes(x), loaded().lanes()
        out = (sizes[4], sizes[5]) if self.depthwise else x.shape[2:]
        y = torch.empty((len(x), self.out_channels, *out), memory_format=torch.channels_last)
        if self.depthwise:
            room = torch.zeros(lanes * self._padded(x))
            loaded().depthwise_forward(*pointers(x, kernel, y, room), *sizes)
        else:
            room = torch.empty(kernel[0].numel())
            loaded().pointwise_forward(*pointers(x, kernel, None, y, room), *sizes)
        return y

    def kernel_gradient(self, g: Tensor, x: Tensor) -> Tensor:
        """Gradient of the kernels (N, R, C) from the gradient g of the output; g and x are channels last."""
        sizes, found = self._sizes(x), torch.empty(len(x), self.rows(), x.shape[1])
        if self.depthwise:
            room = torch.zeros(loaded().lanes() * self._padded(x))
            loaded().depthwise_kernel_gradient(*pointers(g, x, found, room), *sizes)
        else:
            loaded().pointwise_kernel_gradient(*pointers(g, x, found), *sizes)
        return found

    def input_gradient(self, g: Tensor, x: Tensor, kernel: Tensor, base: Tensor) -> Tensor:
        """Gradient of x, plus `base` (N, C) at each pixel."""
        sizes, found = self._sizes(x), torch.empty_like(x)
        if self.depthwise:
            edge, (height, width) = 2 * self.kernel_size, g.shape[2:]
            pixels = (height + edge) * (width + edge) if self.stride == 1 else self._padded(x)
            room = torch.zeros(loaded().lanes() * pixels)
            loaded().depthwise_input_gradient(*pointers(g, kernel, base, found, room), *sizes)
        else:
            loaded().pointwise_input_gradient(*pointers(g, kernel, base, found), *sizes)
        return found

    def _padded(self, x: Tensor) -> int:
        return (x.shape[2] + 2 * self.padding) * (x.shape[3] + 2 * self.padding)

    def _sizes(self, x: Tensor) -> tuple[int, ...]:
        """The sizes that the compiled functions take as arguments, in their order."""
        n, channels, height, width = x.shape
        if not self.depthwise:
            return n, height * width, channels, self.out_channels
        k, stride, padding = self.kernel_size, self.stride, self.padding
        out = ((side + 2 * padding - k) // stride + 1 for side in (height, width))
        return n, height, width, channels, *out, k, stride, padding


def pooled(x: Tensor) -> Tensor:
    """Averages each channel over the map: (N, C, H, W), channels last -> (N, C)."""
    found = torch.empty(x.shape[:2])
    loaded().pool(*pointers(x, found), len(x), x.shape[2] * x.shape[3], x.shape[1])
    return found


def weighed(matrices: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    """Multiplies one matrix (R, C) for all samples, or one per sample (N, R, C), by row gates (N, R) and column gates (N, C)."""
    n, rows, columns = len(by_row), by_row.shape[1], by_column.shape[1]
    found = torch.empty(n, rows, columns)
    loaded().weigh(*pointers(matrices, by_row, by_column, found), n, matrices.dim() == 3, rows, columns)
    return found


def weighed_gradients(g: Tensor, matrices: Tensor, by_row: Tensor, by_column: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the arguments of `weighed`, each shaped like its argument, from the gradient g of its result."""
    found = torch.empty_like(matrices), torch.empty_like(by_row), torch.empty_like(by_column)
    loaded().weigh_gradient(*pointers(g, matrices, by_row, by_column, *found), len(g), matrices.dim() == 3, *g.shape[1:])
    return found


def pointers(*tensors: Tensor | None) -> list[int | None]:
    """Memory addresses of tensors, None for None; the caller has to keep the tensors alive."""
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]
