"""BatchNorm that also trains where a batch holds one value a channel."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over the second axis of any shape, safe inside attention and low-rank branches.

    Such a branch often sees one value a channel: a pooled map at batch 1, or a 1x1 map. There is no variance to normalise by,
    and `torch.nn.BatchNorm2d` raises; this one then uses its running statistics, as in eval, and leaves them as they are.
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
