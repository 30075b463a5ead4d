"""BatchNorm that also trains where a batch holds one value a channel, and what becomes of BatchNorms in deployment."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TypeGuard, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.kernels import UNCLAMPED, norm_clamp, norm_fits

CLAMPS: Mapping[type[nn.Module], tuple[float, float]] = {nn.Identity: UNCLAMPED, nn.ReLU: (0.0, inf), nn.ReLU6: (0.0, 6.0)}
"""Activations that are a clamp, and its bounds."""


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over the second axis of any shape, safe where a channel has one value.

    That is so for a 1x1 map at batch 1, and inside an attention for any map. There is no variance to normalise by, and
    `torch.nn.BatchNorm2d` raises; this one then uses its running statistics, as in eval, and leaves them as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> (N, C, ...)."""
        if self.training and x.numel() <= x.shape[1]:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, (C,) each, that do in eval what this layer does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes will do."""


class StatedNorm(BatchNorm):
    """A BatchNorm whose statistics an operator computes in training, without the values themselves."""

    def observed(self, mean: Tensor, variance: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Scale and shift, (C,) each, that normalise a batch whose statistics were computed elsewhere.

        The running statistics take note of them, exactly as `forward` would have; where a channel has one value, see above.

        Args:
            mean: (C,) of the batch.
            variance: (C,), biased.
            count: values a channel.
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
    """``activation(norm(x))``, (N, C, H, W); in training on the CPU by one compiled kernel, where it takes both."""
    bounds = CLAMPS.get(type(activation))
    if bounds is not None and _in_kernel(norm, activation) and norm_fits(x):
        return norm_clamp(x, norm, bounds)
    y: Tensor = activation(norm(x))
    return y


def _in_kernel(norm: nn.Module, activation: nn.Module) -> TypeGuard[BatchNorm]:
    """Whether a kernel may do what both do: a BatchNorm in training, and no hooks that are to run beside them."""
    return type(norm) is BatchNorm and norm.training and not (hooked(norm) or hooked(activation))


def hooked(module: nn.Module) -> bool:
    """Whether hooks are to run beside it."""
    m = module
    return bool(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks)


Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


@torch.no_grad()
def absorbed(layer: Layer, norm: nn.Module) -> tuple[Layer, nn.Module]:
    """A layer without bias and the norm after it as they are deployed: a BatchNorm becomes part of the layer."""
    if not isinstance(norm, BatchNorm):
        return layer, norm
    scale, shift = norm.folded()
    layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias = nn.Parameter(shift)
    return layer, nn.Identity()


def added(bias: Tensor | None, shift: Tensor | None) -> Tensor | None:
    """The sum of two biases (D,) or (N, D) that may be missing."""
    if bias is None or shift is None:
        return shift if bias is None else bias
    return bias + shift


def folded_bias(bias: Tensor | None, scale: Tensor, shift: Tensor) -> nn.Parameter:
    """A bias (D,), or none, followed by ``scale * y + shift``."""
    return nn.Parameter(shift.clone() if bias is None else bias * scale + shift)
