"""Parameters of the contract tests: every operator by name at every geometry that it supports."""

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
    "GEOMETRIES", "QUICK", "Counter", "each_place", "each_place_where", "forms", "image", "make", "oracle", "place", "places",
    "randomise", "refusal", "sampled", "supported", "training_forms", "variations",
]  # fmt: skip


def supported(name: str) -> list[ConvGeometry]:
    """The geometries that an operator supports with its default settings."""
    return by_class.supported(operators[name])


def places(where: Callable[[str, ConvGeometry], bool] = lambda name, geometry: True) -> list[Any]:
    """Each operator at each geometry that it supports, as parameters of a test; those not in `QUICK` are marked slow."""
    return [
        pytest.param(name, g, id=f"{name}-{g}".replace(" ", "-"), marks=() if g in QUICK else pytest.mark.slow)
        for name in operators
        for g in supported(name)
        if where(name, g)
    ]


def each_place(test: Callable[..., None]) -> Callable[..., None]:
    """Parametrises a test with every operator at each place that it supports; see `each_place_where`."""
    return each_place_where(lambda name, geometry: True)(test)


def each_place_where(where: Callable[[str, ConvGeometry], bool]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Parametrises a test with every operator at each place that it supports and that `where` accepts.

    In the fast run, each test runs for every operator at one of its quick places. The test's name and the operator's position
    decide which one, so that some tests cover each quick place, and each test covers several. All places run when all tests run.
    """

    def marked(test: Callable[..., None]) -> Callable[..., None]:
        first, cases = zlib.crc32(test.__name__.encode()), []
        for turn, (_, group) in enumerate(groupby(places(where), key=lambda case: case.values[0]), first):
            own = list(group)
            quick = [case.id for case in own if not case.marks]
            tried = quick and quick[turn % len(quick)]
            cases += [
                case if case.id == tried else pytest.param(*case.values, id=case.id, marks=pytest.mark.slow) for case in own
            ]
        given: Callable[..., None] = pytest.mark.parametrize(("name", "geometry"), cases)(test)
        return given

    return marked


def training_forms(name: str, geometry: ConvGeometry, settings: dict[str, Setting]) -> tuple[str, ...]:
    """The forms of an operator that support training."""
    return operators[name].training_forms(geometry, settings)


def sampled(name: str, geometry: ConvGeometry, count: int = 3) -> list[dict[str, Setting]]:
    """`dcdnas.testing.places.sampled` for an operator by its name."""
    return by_class.sampled(operators[name], geometry, count)


def forms(name: str, geometry: ConvGeometry, count: int = 3) -> list[tuple[dict[str, Setting], str]]:
    """`dcdnas.testing.places.forms` for an operator by its name."""
    return by_class.forms(operators[name], geometry, count)
