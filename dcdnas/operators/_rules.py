"""Minimal checks of an operator that another package registers; `dcdnas.testing` checks the whole contract."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.plugins import require
from dcdnas.errors import GeometryError
from dcdnas.operators._base import Operator

PLACES = (
    ConvGeometry(8, 12, 3, height=5, width=6),
    ConvGeometry(16, 16, 3, groups=16, height=5, width=6),
    ConvGeometry(16, 16, 1, height=5, width=6),
)
"""A dense, a depthwise and a 1x1 convolution; an operator has to support at least one of them."""


def check(name: str, operator: type[Operator]) -> None:
    """Builds, runs and counts the operator at each of `PLACES` that it supports.

    Args:
        name: of the entry.
        operator: the class to register.

    Raises:
        ContractError: naming the rule that the operator breaks.
    """
    dimensions(operator)
    taken = list(_taken(operator))
    require(bool(taken), f"with its defaults it has to support at least one of {', '.join(map(str, PLACES))}")
    for place in taken:
        _check_at(operator, place)


def _taken(operator: type[Operator]) -> Iterator[ConvGeometry]:
    for place in PLACES:
        try:
            operator.resolve(place)
        except GeometryError:
            continue
        yield place


def _check_at(operator: type[Operator], place: ConvGeometry) -> None:
    settings = operator.resolve(place)
    counts = [operator.multiply_adds(place, settings, form) for form in operator.forms(place, settings)]
    whole = all(type(count) is int and count > 0 for count in counts)
    require(whole, f"multiply_adds says {counts} at {place}; it has to be a whole number above 0 for each form")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        found = operator.at(place).eval()(torch.zeros(2, place.in_channels, place.height, place.width))
    shape, wanted = tuple(found.shape), (2, place.out_channels, place.out_height, place.out_width)
    require(shape == wanted, f"its output at {place} has the shape {shape}; it has to be that of a Conv2d, {wanted}")
