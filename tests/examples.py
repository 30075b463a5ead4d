"""How many examples of a property are tried where each of them is dear."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

USUAL = 100
"""Examples of a property for which nothing is said, when all tests run."""


def examples(most: int, **others: Any) -> settings:
    """`most` examples when all tests run, and their share of the profile's examples in the fast run."""
    return settings(max_examples=max(2, most * settings().max_examples // USUAL), **others)
