"""Caches of prices that are emptied together, when the table behind a metric changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

_caches: list[Callable[[], None]] = []


def remembered(maxsize: int | None = None) -> Callable[[Function], Function]:
    """As `functools.lru_cache`, for what is made of prices."""

    def decorate(function: Function) -> Function:
        cached = lru_cache(maxsize)(function)
        _caches.append(cached.cache_clear)
        return cached  # type: ignore[return-value]

    return decorate


_forgotten = [0]


def prices_since() -> int:
    """A number that changes when prices do: part of the key of whatever keeps them elsewhere."""
    return _forgotten[0]


def forget() -> None:
    """Empties all of them."""
    _forgotten[0] += 1
    for clear in _caches:
        clear()
