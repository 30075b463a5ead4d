"""Slot prices that took work to find, kept on disk from one run to the next.

A file's name is a digest of the sources that make its numbers (operators, networks, costs) and of the counting libraries'
versions; an entry for an operator from outside the package carries a digest of its file. So no stale number is ever read;
the rest is as for all of the cache (`dcdnas.core.cache`).
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
    """The value from disk, else what `find` finds, which is then kept."""
    if outside(choice.operator) is None:
        return find()
    entries, key = _entries(records().path), _key(metric, slot, choice)
    if key not in entries:
        entries[key] = find()
        records().append(key, entries[key])
    return entries[key]  # type: ignore[return-value]


def records() -> Records:
    """Where the prices of this code are."""
    return Records(f"prices-{CODE}")


def sources(package: Path) -> str:
    """Digest of everything inside the package that makes a price, and of what counts it."""
    digest = hashlib.sha256(f"{version('torch')} {version('fvcore')}".encode())
    for path in sorted(path for pattern in _SOURCES for path in package.glob(pattern)):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


CODE = sources(_PACKAGE)
"""Of the sources as they are imported, not as they may be when the first price is asked for."""


def _key(metric: str, slot: Slot, choice: LayerChoice) -> str:
    g = slot.geometry
    place = [slot.kind, *(getattr(g, name) for name in g.__slots__), *[slot.variant] * bool(slot.variant)]
    return json.dumps(
        [metric, place, choice.operator, dict(choice.settings), choice.form, choice.guide_channels, outside(choice.operator)]
    )


@cache
def outside(operator: str) -> str | None:
    """Digest of the file of an operator that is not the package's own, else empty; None when nobody knows the file."""
    try:
        path = Path(inspect.getfile(operators[operator])).resolve()
    except TypeError:
        return None
    return "" if path.is_relative_to(_PACKAGE.resolve()) else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def _entries(path: Path) -> dict[str, float]:
    """What is in the file that the records are in now; read once a process."""
    return {key: value for key, value in records().read().items() if isinstance(value, (int, float))}
