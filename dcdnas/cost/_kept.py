"""Disk cache of the slot prices that are slow to compute, reused by later runs.

A file's name contains a digest of the sources that determine its numbers (operators, networks, costs) and of the counting
libraries' versions; an entry for an operator from outside the package also contains a digest of the operator's file. Therefore
no stale number is ever read. Everything else is as in the whole cache (`dcdnas.core.cache`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.cache import Records
from dcdnas.networks import Slot
from dcdnas.operators import operators

Value = TypeVar("Value", int, float)

_PACKAGE = Path(__file__).parents[1]
_SOURCES = ("operators/**/*.py", "networks/**/*.py", "tracing/**/*.py", "cost/**/*.py", "core/*.py")


def kept(metric: str, slot: Slot, choice: LayerChoice, find: Callable[[], Value]) -> Value:
    """Returns the cached value; if there is none, computes it with `find` and caches it."""
    if outside(choice.operator) is None:
        return find()
    entries, key = _entries(records().path), _key(metric, slot, choice)
    if key not in entries:
        entries[key] = find()
        records().append(key, entries[key])
    return entries[key]  # type: ignore[return-value]


def records() -> Records:
    """The cache records with the prices of the current code."""
    return Records(f"prices-{CODE}")


def sources(package: Path) -> str:
    """Digest of all sources in the package that determine a price, and of the counting libraries' versions."""
    digest = hashlib.sha256(f"{version('torch')} {version('fvcore')}".encode())
    for path in sorted(path for pattern in _SOURCES for path in package.glob(pattern)):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


CODE = sources(_PACKAGE)
"""Digest of the sources as imported; on disk they may have changed by the time the first price is needed."""


def _key(metric: str, slot: Slot, choice: LayerChoice) -> str:
    g = slot.geometry
    place = [slot.kind, *(getattr(g, name) for name in g.__slots__), *[slot.variant] * bool(slot.variant)]
    return json.dumps(
        [metric, place, choice.operator, dict(choice.settings), choice.form, choice.guide_channels, outside(choice.operator)]
    )


@cache
def outside(operator: str) -> str | None:
    """Digest of the file of an operator from outside the package, empty for the package's own; None if the file is unknown."""
    try:
        path = Path(inspect.getfile(operators[operator])).resolve()
    except TypeError:
        return None
    return "" if path.is_relative_to(_PACKAGE.resolve()) else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def _entries(path: Path) -> dict[str, float]:
    """The numeric entries of the current cache file, which is read once per process."""
    return {key: value for key, value in records().read().items() if isinstance(value, (int, float))}
