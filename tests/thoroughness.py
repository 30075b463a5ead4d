"""What the fast run leaves out: examples of a property where each of them is dear, and parameters that show nothing new."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

USUAL = 100
"""Examples of a property for which nothing is said, when all tests run."""


def examples(most: int, **others: Any) -> settings:
    """`most` examples when all tests run, and their share of the profile's examples in the fast run."""
    return settings(max_examples=max(2, most * settings().max_examples // USUAL), **others)


def slow_but(quick: Iterable[object], values: Iterable[Any]) -> list[Any]:
    """`values` as a test's parameters; those that are not among `quick` are slow."""
    quick = list(quick)
    return [pytest.param(value, marks=[pytest.mark.slow] * (value not in quick)) for value in values]


def in_turn(rows: Iterable[object], columns: Iterable[object]) -> list[Any]:
    """All pairs as a test's parameters; the fast run has each row and each column, with one turn through the other."""
    rows, columns = list(rows), list(columns)
    quick = {(i % len(rows), i % len(columns)) for i in range(max(len(rows), len(columns)))}
    return [
        pytest.param(row, column, marks=[pytest.mark.slow] * ((i, j) not in quick))
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
    ]
