"""Checks the facts about a run that the table ``meta`` stores beside its trials: which type each must have when it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dcdnas.core.json_files import parse_json
from dcdnas.errors import FileError

EARLIEST, LATEST = -62_000_000_000, 253_402_300_799
"""Range of times that a calendar date can represent, in seconds since the epoch: the year 5 to the end of 9999."""


COUNTS = ("train", "validation", "outputs")
"""Fields of the record of the images that hold non-negative integers."""


def read_fact(key: str, text: Any) -> Any:
    """Parses a fact from its JSON text.

    Raises:
        ValueError: when the text is not JSON, or its value is not valid for this fact.
    """
    try:
        value = parse_json(text if isinstance(text, str) else "", key)
    except FileError as error:
        raise ValueError(str(error)) from None
    if key in _KINDS and not _KINDS[key](value):
        raise ValueError(f"{key} cannot be {str(value)[:60]}")
    return value


def is_number(value: object) -> bool:
    """Whether the value is a finite number that a float can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def is_count(value: object) -> bool:
    """Whether the value is a non-negative integer that fits into 64 signed bits, as SQLite stores it."""
    return type(value) is int and 0 <= value < 2**63


def is_time(value: object) -> bool:
    """Whether the value is a time, in seconds since the epoch, that a calendar date can represent."""
    return is_number(value) and EARLIEST <= value <= LATEST  # type: ignore[operator]


def _bounds(value: object) -> bool:
    pairs = _values(value)
    return pairs is not None and all(isinstance(p, list) and len(p) == 2 and all(map(is_number, p)) for p in pairs)


def _timed(value: object) -> bool:
    found = _values(value)
    return found is not None and all(
        isinstance(one, dict) and {"latency", "iqr"} <= set(one) and all(map(is_number, one.values())) for one in found
    )


def _images(value: object) -> bool:
    if not isinstance(value, dict):
        return value is None
    rows = {"classes": lambda v: isinstance(v, str | int), "mean": is_number, "std": is_number, "shape": is_count}
    lists = all(isinstance(value.get(n, []), list) and all(map(check, value.get(n, []))) for n, check in rows.items())
    return lists and len(value.get("shape", [1, 1, 1])) == 3 and all(is_count(value.get(n) or 0) for n in COUNTS)


def _left(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("running"), list):
        return False
    lost, chosen = value.get("lost"), value.get("chosen", [])
    if not isinstance(chosen, list) or not all(map(is_count, chosen)):
        return False
    return isinstance(lost, dict) and all(map(is_count, lost.values())) and all(isinstance(key, str) for key in value["running"])


def _values(value: object) -> list[Any] | None:
    return list(value.values()) if isinstance(value, Mapping) else None


_KINDS: Mapping[str, Callable[[object], bool]] = {
    "bounds": lambda v: v is None or _bounds(v),
    "created": lambda v: v is None or is_time(v),
    "timed": lambda v: v is None or _timed(v),
    "images": _images,
    "driver": lambda v: isinstance(v, str),
    "reason": lambda v: isinstance(v, str),
    "ending": lambda v: v is None or isinstance(v, str),
    "confirming": _left,
    "execution": lambda v: (
        isinstance(v, dict) and isinstance(v.get("executor"), str) and is_count(v.get("jobs")) and is_count(v.get("patience", 0))
    ),
}
"""Validity check by fact, for the facts on which programs base decisions."""
