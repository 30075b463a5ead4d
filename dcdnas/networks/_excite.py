"""Squeeze-and-excitation: each channel of a map is scaled by a factor computed from the means of all channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.reference import Reference
from dcdnas.operators import product


class SqueezeExcite(nn.Module):
    """y = x s(W2 relu(W1 mean(x))), with one factor per channel.

    Reference: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, arXiv:1709.01507, equations 2 to 4.

    Args:
        channels: C, channels of the map.
        squeezed: channels between the two linear layers.
        hard: whether s is the piecewise linear sigmoid of MobileNetV3; else it is the sigmoid.
    """

    REFERENCE = Reference(
        "hu2018squeeze",
        "Hu, Jie and Shen, Li and Sun, Gang",
        "Squeeze-and-Excitation Networks", "CVPR", 2018, "1709.01507",
    )  # fmt: skip

    def __init__(self, channels: int, squeezed: int, *, hard: bool) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, squeezed)
        self.expand = nn.Linear(squeezed, channels)
        self.hard = hard

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        y = self.expand(F.relu(self.reduce(x.mean((2, 3)))))
        gate = F.hardsigmoid(y) if self.hard else torch.sigmoid(y)
        return product(x, gate[:, :, None, None])

    @staticmethod
    def controlling(channels: int, squeezed: int) -> int:
        """Returns the multiply-adds of both linear layers."""
        return 2 * channels * squeezed
