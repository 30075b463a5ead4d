"""Constructor arguments that are no search dimensions, and so have no `Choice` that says what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, SupportsIndex

import torch

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.errors import GeometryError, UsageError

Init = Literal["static", "published"]
"""What a fresh operator computes: a static convolution, its gates all constant, or what the published code starts with."""

INITS: tuple[Init, ...] = ("static", "published")


def one_number(name: str, value: object) -> int:
    """A size of both axes: a whole number, or a pair of equal ones, as Conv2d keeps them.

    Raises:
        GeometryError: for what `torch.nn.Conv2d` takes, but these operators do not: two different sizes, a word as padding.
    """
    if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if not isinstance(value, SupportsIndex):
        raise GeometryError(f"{name} must be one whole number for both axes, not {value!r}.")
    return int(value)


def traced() -> bool:
    """Whether an exporter or a compiler looks on, which cannot ask for sizes."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined, no-untyped-call]


def check_start(init: str, temperature: float = 1.0) -> None:
    """Refuses an unknown start, and a temperature by which logits cannot be divided.

    Raises:
        UsageError: for either.
    """
    if init not in INITS:
        raise UsageError(f"init cannot be {init!r}. Allowed: {', '.join(INITS)}.")
    if not 0 < temperature < float("inf"):
        raise UsageError(f"temperature cannot be {temperature!r}. Allowed: a number above 0.")


def shown(geometry: ConvGeometry, padding: int, bias: bool, settings: Mapping[str, Setting]) -> str:
    """All arguments as a printed layer shows them."""
    g = geometry
    sizes = f"{g.in_channels}, {g.out_channels}, kernel_size={g.kernel_size}, stride={g.stride}"
    others = {"padding": padding, "dilation": g.dilation, "groups": g.groups, "bias": bias, **settings}
    return ", ".join([sizes, *(f"{name}={value}" for name, value in others.items())])
