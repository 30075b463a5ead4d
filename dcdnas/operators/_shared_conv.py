"""Convolution with one kernel for all samples, which trains with compiled kernels where they are faster (`dcdnas.kernels`)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.kernels import Convolution, shared_convolution, shared_fits


def convolved(x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, padding: int, dilation: int, groups: int) -> Tensor:
    """Convolves (N, C, H, W) with a kernel (D, C/g, k, k): (N, D, H', W')."""
    place = Convolution(stride, padding, groups)
    if bias is None and dilation == 1 and shared_fits(x, kernel, place):
        return shared_convolution(x, kernel, place)
    return F.conv2d(x, kernel, bias, stride, padding, dilation, groups)


class Conv2d(nn.Conv2d):
    """A `torch.nn.Conv2d` without dilation and with zero padding, for layers inside an operator."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolved(input, weight, bias, self.stride[0], int(self.padding[0]), 1, self.groups)
