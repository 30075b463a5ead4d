"""The activations that a network may have; none of them is counted in multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "": nn.Identity,
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
    "hardswish": partial(nn.Hardswish, inplace=True),
    "silu": partial(nn.SiLU, inplace=True),
    "gelu": nn.GELU,
}

SEARCHED_ACTIVATIONS = ("relu", "relu6", "hardswish", "silu", "gelu")
"""The allowed values of a backbone's setting `activation`."""
