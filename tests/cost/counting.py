"""A module around a function, and its count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dcdnas.cost.flops import count_flops

SHAPE = (4, 6, 6)


class Run(nn.Module):
    """Runs a function of (module, x); has a weight and a temperature to use."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], weight: tuple[int, ...] = (4, 4, 3, 3)) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.randn(weight))
        self.gain = nn.Parameter(torch.ones(4, 1, 1))
        self.register_buffer("temperature", torch.tensor(30.0))

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the function says."""
        return self.function(self, x)


def count(function: Callable[[Any, Tensor], Any], shape: tuple[int, ...] = SHAPE) -> int:
    return count_flops(Run(function), shape)
