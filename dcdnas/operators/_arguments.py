"""Constructor arguments that are no search dimensions, and so have no `Choice` that says what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, SupportsIndex

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.errors import GeometryError, UsageError

Init = Literal["static", "published"]
"""What a fresh operator computes: a static convolution, its gates all constant, or what the published code starts with."""

INITS: tuple[Init, ...] = ("static", "published")


def check_place(padding: int, **sizes: int) -> None:
    """Refuses what `torch.nn.Conv2d` takes, but these operators do not: a pair of sizes, a word as padding.

    Raises:
        GeometryError: also for a negative padding.
    """
    for name, value in {**sizes, "padding": padding}.items():
        if not isinstance(value, SupportsIndex):
            raise GeometryError(f"{name} must be one whole number for both axes, not {value!r}.")
    if int(padding) < 0:
        raise GeometryError(f"padding must be at least 0, not {padding}.")


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
