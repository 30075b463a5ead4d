"""Checks of constructor arguments that are not search dimensions and therefore have no `Choice` that lists the allowed values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from dcdnas.core.geometry import ConvGeometry, Setting, as_int
from dcdnas.errors import GeometryError, UsageError

Init = Literal["static", "published"]
"""Initialisation of a fresh operator: ``static`` makes all gates constant, so that it computes a static convolution;
``published`` initialises it as the published code does."""

INITS: tuple[Init, ...] = ("static", "published")


def one_number(name: str, value: object) -> int:
    """Reduces a size to one number for both axes; it may be a whole number or a pair of equal ones, as Conv2d stores them.

    Raises:
        GeometryError: for values that `torch.nn.Conv2d` accepts but these operators do not: two different sizes, or a word as
            padding.
    """
    if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    number = as_int(value)
    if number is None:
        raise GeometryError(f"{name} must be one whole number for both axes, not {value!r}.")
    return number


def traced() -> bool:
    """Whether an exporter or a compiler is tracing, in which case code cannot branch on tensor sizes."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined, no-untyped-call]


def check_start(init: str, temperature: float = 1.0) -> None:
    """Checks the initialisation and the temperature, by which logits are divided.

    Raises:
        UsageError: for an unknown `init`, or a temperature that is not a finite number above 0.
    """
    if init not in INITS:
        raise UsageError(f"init cannot be {init!r}. Allowed: {', '.join(INITS)}.")
    if not 0 < temperature < float("inf"):
        raise UsageError(f"temperature cannot be {temperature!r}. Allowed: a number above 0.")


def shown(geometry: ConvGeometry, padding: int, bias: bool, settings: Mapping[str, Setting]) -> str:
    """Formats all constructor arguments for the `extra_repr` of a layer."""
    g = geometry
    sizes = f"{g.in_channels}, {g.out_channels}, kernel_size={g.kernel_size}, stride={g.stride}"
    others = {"padding": padding, "dilation": g.dilation, "groups": g.groups, "bias": bias, **settings}
    return ", ".join([sizes, *(f"{name}={value}" for name, value in others.items())])
