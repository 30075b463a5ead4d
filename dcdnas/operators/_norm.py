"""BatchNorm that also trains if a batch holds only one value for each channel, and the folding of BatchNorms for deployment."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TypeGuard, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.kernels import UNCLAMPED, norm_clamp, norm_fits

CLAMPS: Mapping[type[nn.Module], tuple[float, float]] = {nn.Identity: UNCLAMPED, nn.ReLU: (0.0, inf), nn.ReLU6: (0.0, 6.0)}
"""Activations that are equal to a clamp, with its lower and upper bound."""


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over the second axis of an input of any shape, which also accepts a single value for each channel.

    There is only one value per channel at batch 1 for a 1x1 map, and inside an attention for a map of any size. There is then
    no variance to normalise by, and `torch.nn.BatchNorm2d` raises; this layer uses its running statistics instead, as in eval
    mode, and does not update them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalises (N, C, ...) -> (N, C, ...)."""
        if self.training and x.numel() <= x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, (C,) each, that are equivalent to this layer in eval mode."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts any number of axes."""


class StatedNorm(BatchNorm):
    """A BatchNorm that in training can be given the batch statistics instead of the values that it normalises."""

    def observed(self, mean: Tensor, variance: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Scale and shift, (C,) each, that normalise a batch with the given statistics.

        The running statistics are updated exactly as `forward` would update them. If there is one value per channel, the running
        statistics are used and not updated; see `BatchNorm`.

        Args:
            mean: (C,), of the batch.
            variance: (C,), biased.
            count: number of values per channel.
        """
        if count <= 1:
            return self.folded()
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked += 1
            momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return scale, self.bias - mean * scale


def activated(x: Tensor, norm: nn.Module, activation: nn.Module) -> Tensor:
    """Computes ``activation(norm(x))`` on (N, C, H, W); one compiled kernel does both in CPU training where it supports them."""
    bounds = CLAMPS.get(type(activation))
    if bounds is not None and _in_kernel(norm, activation) and norm_fits(x):
        return norm_clamp(x, norm, bounds)
    y: Tensor = activation(norm(x))
    return y


def _in_kernel(norm: nn.Module, activation: nn.Module) -> TypeGuard[BatchNorm]:
    """Whether a compiled kernel may replace both modules: the norm is a BatchNorm in training, and neither has hooks."""
    return type(norm) is BatchNorm and norm.training and not (hooked(norm) or hooked(activation))


def hooked(module: nn.Module) -> bool:
    """Whether a module has forward or backward hooks."""
    m = module
    return bool(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks)


Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


@torch.no_grad()
def absorbed(layer: Layer, norm: nn.Module) -> tuple[Layer, nn.Module]:
    """Folds a BatchNorm into the layer before it, which has no bias, and returns both; an identity replaces the BatchNorm."""
    if not isinstance(norm, BatchNorm):
        return layer, norm
    scale, shift = norm.folded()
    layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias = nn.Parameter(shift)
    return layer, nn.Identity()


def added(bias: Tensor | None, shift: Tensor | None) -> Tensor | None:
    """The sum of two biases (D,) or (N, D), each of which may be None."""
    if bias is None or shift is None:
        return shift if bias is None else bias
    return bias + shift


def folded_bias(bias: Tensor | None, scale: Tensor, shift: Tensor) -> nn.Parameter:
    """The bias after folding ``scale * y + shift`` into a bias (D,) or None."""
    return nn.Parameter(shift.clone() if bias is None else bias * scale + shift)
