"""Reduces the fast test run: fewer examples of expensive properties, and no parameters that add little."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

USUAL = 100
"""Hypothesis's default number of examples per property, which holds when all tests run."""


def examples(most: int, **others: Any) -> settings:
    """Settings for `most` examples when all tests run, and proportionally fewer in the fast run."""
    return settings(max_examples=max(2, most * settings().max_examples // USUAL), **others)


def slow_but(quick: Iterable[object], values: Iterable[Any]) -> list[Any]:
    """`values` as a test's parameters; those that are not in `quick` are marked slow."""
    quick = list(quick)
    return [pytest.param(value, marks=[pytest.mark.slow] * (value not in quick)) for value in values]


def in_turn(rows: Iterable[object], columns: Iterable[object]) -> list[Any]:
    """All pairs as a test's parameters; the fast run covers each row and each column, pairing them in turn."""
    rows, columns = list(rows), list(columns)
    quick = {(i % len(rows), i % len(columns)) for i in range(max(len(rows), len(columns)))}
    return [
        pytest.param(row, column, marks=[pytest.mark.slow] * ((i, j) not in quick))
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
    ]
