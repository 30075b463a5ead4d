"""Convolution with an input-dependent mixture of K kernels, weighted as wholes or by output channel: base of DY-Conv, CondConv.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size, K kernels, g groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.operators._base import Operator
from dcdnas.operators._norm import added, folded_bias
from dcdnas.operators._product import product

CLASSIFIER_STD = 0.01
"""Standard deviation of the fresh weights of a classifier, which has no norm after it."""


class KernelMixture(Operator):
    """y = (sum_k pi_k W_k) * x (+ sum_k pi_k b_k), with weights pi that a subclass computes from x.

    pi is (N, K), one number for each kernel, or (N, K, D), one for each output channel of each kernel; both cost the same.

    Form ``aggregate`` builds one kernel for each sample and convolves once. Form ``mix`` convolves with every kernel and then
    sums the weighted outputs, which is cheaper if the output has about one pixel.
    """

    FORMS: ClassVar[tuple[str, ...]] = ("aggregate", "mix")

    weight: nn.Parameter
    """(K, D, C/g k^2)."""

    bias: nn.Parameter | None

    shift: nn.Parameter | None
    """(D,), the shift that `fold` leaves to be added; separate from the bias, because the mixture's weights need not sum to 1."""

    def _make_kernels(self, kernels: int) -> None:
        self.weight = self._fresh_kernels(kernels)
        self.bias = nn.Parameter(torch.zeros(kernels, self.out_channels)) if self.has_bias else None
        self.register_parameter("shift", None)

    def _fold_into_kernels(self, scale: Tensor, shift: Tensor) -> bool:
        self.weight.mul_(scale.unsqueeze(1))
        if self.bias is not None:
            self.bias.mul_(scale)
        self.shift = folded_bias(self.shift, scale, shift)
        return True

    def _start_around(self, kernel: Tensor, bias: Tensor | None, share: float, spread: float) -> None:
        """Initialises the kernels around `share` times a given kernel, and the biases as `share` times its bias."""
        start_around(self.weight, share * kernel, spread)
        self._start_bias(bias, share)

    def _mixed(self, x: Tensor, mixture: Tensor) -> Tensor:
        """Convolves (N, C, H, W) with each sample's mixture of the kernels, weights (N, K) or (N, K, D): (N, D, H', W')."""
        bias = added(None if self.bias is None else self._mixed_bias(mixture, self.bias), self.shift)
        if self._form(x) != "mix":
            return self._aggregate(x, mixture, bias)
        y = self._mix(x, mixture)
        return y if bias is None else y + bias[..., None, None]

    def kernels(self) -> Tensor:
        """The K kernels in the shape of Conv2d kernels: (K, D, C/g, k, k)."""
        g = self.geometry
        return torch.unflatten(self.weight, 2, (-1, g.kernel_size, g.kernel_size))

    def _mixed_bias(self, mixture: Tensor, bias: Tensor) -> Tensor:
        return mixture @ bias if mixture.dim() == 2 else product(mixture, bias).sum(1)

    def _aggregate(self, x: Tensor, mixture: Tensor, bias: Tensor | None) -> Tensor:
        if mixture.dim() == 2:
            mixed = mixture @ self.weight.flatten(1)
        else:
            mixed = (mixture.permute(2, 0, 1) @ self.weight.transpose(0, 1)).transpose(0, 1)
        return self._convolve_each(x, mixed.reshape(-1, *self.kernels().shape[1:]), bias)

    def _mix(self, x: Tensor, mixture: Tensor) -> Tensor:
        outputs = (self._convolve(x, kernel) for kernel in self.kernels())
        each = mixture.unsqueeze(2) if mixture.dim() == 2 else mixture
        weighed = [product(y, pi[..., None, None]) for y, pi in zip(outputs, each.unbind(1), strict=True)]
        return sum(weighed[1:], weighed[0])

    @classmethod
    def training_forms(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> tuple[str, ...]:
        """Both forms can train."""
        return cls.forms(geometry, settings)

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """Elements of one kernel per sample (``aggregate``), or of all kernels' outputs, unweighted and weighted (``mix``)."""
        g = geometry
        if form == "mix":
            kernels = settings.get("num_kernels", settings.get("num_experts", 1))
            return 2 * int(kernels) * g.out_channels * g.out_pixels
        return g.weights

    @classmethod
    def _mixture_cost(cls, geometry: ConvGeometry, kernels: int, form: str) -> int:
        """Multiply-adds: aggregate (K + H'W') |W|; mix K H'W' (|W| + D), with |W| = D C/g k^2."""
        if form == "mix":
            return kernels * geometry.out_pixels * (geometry.weights + geometry.out_channels)
        return (kernels + geometry.out_pixels) * geometry.weights


def static_std(geometry: ConvGeometry) -> float:
    """Standard deviation with which a static convolution's kernel is initialised: Kaiming's, by fan-out."""
    return math.sqrt(2.0 / (geometry.out_channels // geometry.groups * geometry.kernel_size**2))


def start_each_as_static(kernels: Tensor, geometry: ConvGeometry) -> None:
    """Fills stored kernels, which an attention mixes, with independent values of a static kernel's standard deviation.

    Then the mixture learns at a static convolution's speed under any constant weights a_k: a step of SGD moves it by sum a_k^2
    times a static kernel's step, its variance is sum a_k^2 times a static kernel's, and the BatchNorm that follows divides both
    the gradient and the output by the square root of that sum. If instead the mixture had a static kernel's variance, the mean
    of K kernels would learn K times more slowly.
    """
    nn.init.normal_(kernels, std=static_std(geometry))


@torch.no_grad()
def start_around(kernels: Tensor, mean: Tensor, spread: float = 1.0) -> None:
    """Fills (K, ...) with kernels that differ from a given mean kernel by random deviations that sum to zero.

    Equal weights then give exactly the mean kernel, while the kernels differ, so that their weights receive a gradient.

    Args:
        kernels: (K, ...), filled in place.
        mean: as many elements as one of the kernels.
        spread: standard deviation of the deviations before they are centred, as a multiple of the root mean square of `mean`.
    """
    deviations = torch.randn_like(kernels) * (spread * mean.square().mean().sqrt())
    kernels.copy_(mean.reshape(kernels[0].shape) + deviations - deviations.mean(0))
