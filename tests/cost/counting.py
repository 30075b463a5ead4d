"""Wraps functions as modules, and counts their multiply-adds in several ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dcdnas.cost._dispatch_counter import by_dispatch
from dcdnas.cost.flops import count_flops
from dcdnas.operators._product import counting as counting_products

SHAPE = (4, 6, 6)


class Run(nn.Module):
    """A module that calls a function of (module, x); it has a weight, a gain and a temperature for the function to use."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], weight: tuple[int, ...] = (4, 4, 3, 3)) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.randn(weight))
        self.gain = nn.Parameter(torch.ones(4, 1, 1))
        self.register_buffer("temperature", torch.tensor(30.0))

    def forward(self, x: Tensor) -> Tensor:
        """The value of the function."""
        return self.function(self, x)


def count(function: Callable[[Any, Tensor], Any], shape: tuple[int, ...] = SHAPE) -> int:
    """The count of the trace; asserts that the counter of dispatched operations agrees."""
    counted = count_flops(Run(function), shape)
    assert dispatched(Run(function), shape) == counted
    return counted


def dispatched(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> int:
    """The count of the counter of dispatched operations, which is otherwise used only where torch cannot trace."""
    with torch.no_grad(), counting_products():
        return by_dispatch(module.eval(), torch.zeros(1, *shape))[""]


def executed(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of the executed kernels by torch's own counter, plus the marked products; independent of any trace."""
    marked = {torch.ops.dcdnas.product: lambda *shapes, out_shape, **_: 2 * math.prod(out_shape)}
    with torch.no_grad(), counting_products(), FlopCounterMode(display=False, custom_mapping=marked) as mode:
        module.eval()(torch.zeros(1, *shape))
    return mode.get_total_flops() // 2
