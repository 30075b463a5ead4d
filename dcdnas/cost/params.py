"""Learnable parameters."""

from __future__ import annotations

from fvcore.nn import parameter_count
from torch import nn

from dcdnas.cost._base import Metric

__all__ = ["params"]


def count_params(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Number of learnable parameters, as fvcore counts them; `shape` does not matter."""
    return int(parameter_count(module)[""])


params = Metric("params", "learnable parameters", count_params)
