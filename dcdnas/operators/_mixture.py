"""Convolution with K kernels that each sample weighs anew, as wholes or channel by channel: what DY-Conv and CondConv share.

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
from dcdnas.operators._norm import added
from dcdnas.operators._product import product


class KernelMixture(Operator):
    """y = (sum_k pi_k W_k) * x (+ sum_k pi_k b_k), with weights pi that a subclass computes from x.

    pi is (N, K), a number a kernel, or (N, K, D), one for each output channel of a kernel; it costs the same.

    Form ``aggregate`` builds one kernel a sample and convolves once; form ``mix`` convolves with every kernel and then weighs
    the outputs, which is cheaper where the output has about one pixel.
    """

    FORMS: ClassVar[tuple[str, ...]] = ("aggregate", "mix")

    weight: nn.Parameter
    """(K, D, C/g k^2)."""

    bias: nn.Parameter | None

    shift: nn.Parameter | None
    """(D,), what `fold` leaves to be added; another than the bias, because the mixture's weights need not sum to 1."""

    def _make_kernels(self, kernels: int) -> None:
        self.weight = self._fresh_kernels(kernels)
        self.bias = nn.Parameter(torch.zeros(kernels, self.out_channels)) if self.has_bias else None
        self.register_parameter("shift", None)

    def _fold_into_kernels(self, scale: Tensor, shift: Tensor) -> bool:
        self.weight.mul_(scale.unsqueeze(1))
        if self.bias is not None:
            self.bias.mul_(scale)
        self.shift = nn.Parameter(shift.clone())
        return True

    def _start_around(self, kernel: Tensor, bias: Tensor | None, share: float, spread: float) -> None:
        """Kernels around `share` of a given one, biases of that share of its bias."""
        start_around(self.weight, share * kernel, spread)
        self._start_bias(bias, share)

    def _mixed(self, x: Tensor, mixture: Tensor) -> Tensor:
        """(N, C, H, W) convolved with its samples' mixtures (N, K) or (N, K, D) of the kernels: (N, D, H', W')."""
        bias = added(None if self.bias is None else self._mixed_bias(mixture, self.bias), self.shift)
        if self._form(x) != "mix":
            return self._aggregate(x, mixture, bias)
        y = self._mix(x, mixture)
        return y if bias is None else y + bias[..., None, None]

    def kernels(self) -> Tensor:
        """The K kernels as those of a Conv2d: (K, D, C/g, k, k)."""
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
        """Both train."""
        return cls.forms(geometry, settings)

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """The kernel of a sample, or every kernel's outputs before and after weighing."""
        g = geometry
        if form == "mix":
            kernels = settings.get("num_kernels", settings.get("num_experts", 1))
            return 2 * int(kernels) * g.out_channels * g.out_pixels
        return g.weights

    @classmethod
    def _mixture_cost(cls, geometry: ConvGeometry, kernels: int, form: str) -> int:
        """Aggregate: (K + H'W') |W|; mix: K H'W' (|W| + D), with |W| = D C/g k^2."""
        if form == "mix":
            return kernels * geometry.out_pixels * (geometry.weights + geometry.out_channels)
        return (kernels + geometry.out_pixels) * geometry.weights


def static_std(geometry: ConvGeometry) -> float:
    """Standard deviation of a static convolution's fresh kernel: Kaiming's over the fan-out."""
    return math.sqrt(2.0 / (geometry.out_channels // geometry.groups * geometry.kernel_size**2))


@torch.no_grad()
def start_around_a_mean(kernels: Tensor, mean_std: float, spread: float) -> None:
    """Fills (K, ...) with kernels whose mean is one fresh kernel and which differ from it by deviations that sum to zero.

    So equal weights give exactly the mean kernel, while the kernels differ and their weights receive a gradient.

    Args:
        kernels: filled in place.
        mean_std: standard deviation of the mean kernel.
        spread: standard deviation of the deviations, before they are centred.
    """
    deviations = torch.randn_like(kernels) * spread
    kernels.copy_(torch.randn_like(kernels[0]) * mean_std + deviations - deviations.mean(0))


@torch.no_grad()
def start_around(kernels: Tensor, mean: Tensor, spread: float = 1.0) -> None:
    """As `start_around_a_mean`, with a mean that is given.

    Args:
        kernels: (K, ...), filled in place.
        mean: of the same number of elements as one of them.
        spread: standard deviation of the deviations before they are centred, in root mean squares of `mean`.
    """
    deviations = torch.randn_like(kernels) * (spread * mean.square().mean().sqrt())
    kernels.copy_(mean.reshape(kernels[0].shape) + deviations - deviations.mean(0))
