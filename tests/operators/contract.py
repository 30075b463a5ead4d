"""What the contract test runs over: every operator by its name at every geometry it takes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.operators import operators
from dcdnas.testing import places as by_class
from dcdnas.testing.places import GEOMETRIES, QUICK, Counter, image, make, oracle, place, randomise, refusal, variations

__all__ = [
    "GEOMETRIES", "QUICK", "Counter", "each_place", "forms", "image", "make", "oracle", "place", "places", "randomise", "refusal",
    "sampled", "supported", "training_forms", "variations",
]  # fmt: skip


def supported(name: str) -> list[ConvGeometry]:
    """The geometries that an operator takes with its default settings."""
    return by_class.supported(operators[name])


def places(where: Callable[[str, ConvGeometry], bool] = lambda name, geometry: True) -> list[Any]:
    """Each operator at each geometry that it takes, as arguments of a test; those beyond the quick ones are slow."""
    return [
        pytest.param(name, g, id=f"{name}-{g}".replace(" ", "-"), marks=() if g in QUICK else pytest.mark.slow)
        for name in operators
        for g in supported(name)
        if where(name, g)
    ]


def each_place(test: Callable[..., None]) -> Callable[..., None]:
    """Gives a test every operator at each place that it takes.

    The fast run tries each rule at half of an operator's quick places, and each quick place under half of the rules; which half
    is by the rule's name. All of them are tried when all tests run.
    """
    turn, cases = zlib.crc32(test.__name__.encode()), []
    for _, group in groupby(places(), key=lambda case: case.values[0]):
        own = list(group)
        quick = [case for case in own if not case.marks]
        tried = {case.id for number, case in enumerate(quick) if len(quick) == 1 or (number + turn) % 2}
        cases += [case if case.id in tried else pytest.param(*case.values, id=case.id, marks=pytest.mark.slow) for case in own]
    marked: Callable[..., None] = pytest.mark.parametrize(("name", "geometry"), cases)(test)
    return marked


def training_forms(name: str, geometry: ConvGeometry, settings: dict[str, Setting]) -> tuple[str, ...]:
    """The forms that can train."""
    return operators[name].training_forms(geometry, settings)


def sampled(name: str, geometry: ConvGeometry, count: int = 3) -> list[dict[str, Setting]]:
    """As of the class."""
    return by_class.sampled(operators[name], geometry, count)


def forms(name: str, geometry: ConvGeometry, count: int = 3) -> list[tuple[dict[str, Setting], str]]:
    """As of the class."""
    return by_class.forms(operators[name], geometry, count)
