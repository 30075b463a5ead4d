"""Latency tables as JSON files: writes them for other machines, reads them, and reports each mistake with its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dcdnas.core.json_files import read_json
from dcdnas.cost.latency.device import Device
from dcdnas.cost.latency.fit import Correction
from dcdnas.cost.latency.row import KEYS, place_from, row_of
from dcdnas.cost.latency.table import LatencyTable, Place
from dcdnas.cost.latency.timing import Timing
from dcdnas.errors import FileError, UsageError, nearest

FORMAT = "dcdnas/latency-1"
UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
TOP = ("format", "device", "unit", "correction", "slots")
NUMBERS = ("threads", "batch")
LARGEST = 1e15
"""Upper bound of the numbers in a file, in whatever unit."""
SHOWN = 12
"""Maximum number of problems of a file that are listed."""


def table_text(device: Device, slots: Iterable[tuple[Place, Timing | None]], correction: Correction | None = None) -> str:
    """Returns the content of a file, in nanoseconds, one slot per line; a slot without a time has null, to be filled in."""
    head: dict[str, Any] = {"format": FORMAT, "device": asdict(device), "unit": "ns"}
    if correction is not None:
        head["correction"] = asdict(correction)
    rows = [{**row_of(place), "value": t.median if t else None, **({"iqr": t.iqr} if t else {})} for place, t in slots]
    body = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    return f'{json.dumps(head, indent=2, ensure_ascii=False)[:-2]},\n  "slots": [\n{body}\n  ]\n}}\n'


def read_table(path: str | Path) -> LatencyTable:
    """Reads a table from its file.

    Raises:
        FileError: when the file cannot be read; or listing what is wrong with it.
    """
    return table_from(read_json(path), str(path))


def table_from(content: Any, source: str) -> LatencyTable:
    """Builds a table from the content of its file.

    Raises:
        FileError: listing what is wrong with it.
    """
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        given = content.get("format") if isinstance(content, Mapping) else None
        raise FileError(f"{source}: no latency table: its format is {given!r}, not {FORMAT!r}. docs/latency.md has an example.")
    problems = list(_unknown("", content, TOP))
    device = _device(content.get("device"), problems)
    correction = _correction(content.get("correction", {}), problems)
    scale = _scale(content.get("unit"), problems)
    slots = _slots(content.get("slots"), scale, problems)
    if problems:
        more = [f"and {len(problems) - SHOWN} more problems"] if len(problems) > SHOWN else []
        raise FileError("\n".join(f"{source}: {p}" for p in [*problems[:SHOWN], *more]))
    return LatencyTable(device, slots, correction, source)


def _unknown(where: str, content: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    known = tuple(known)
    yield from (f"{where}unknown key {key!r}. {nearest(str(key), known)}" for key in content if key not in known)


def _device(content: Any, problems: list[str]) -> Device:
    known = tuple(f.name for f in fields(Device))
    if not isinstance(content, Mapping) or not isinstance(content.get("name"), str) or not content["name"].strip():
        problems.append(f'device must say at least a name, like {{"name": "cpu: Cortex-A76", "threads": 1}}, not {content!r}.')
        return Device("")
    problems += _unknown("device: ", content, known)
    for name in known:
        value, whole = content.get(name, 1 if name in NUMBERS else ""), name in NUMBERS
        number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not (number if whole else isinstance(value, str)):
            problems.append(f"device: {name} must be {'a whole number above 0' if whole else 'a text'}, not {value!r}.")
            return Device("")
    return Device(**{name: content[name] for name in known if name in content})


def _correction(content: Any, problems: list[str]) -> Correction:
    known = tuple(f.name for f in fields(Correction))
    if not isinstance(content, Mapping):
        problems.append(f'correction must be an object like {{"factor": 1.1, "per_slot": 2000}}, not {content!r}.')
        return Correction()
    problems += _unknown("correction: ", content, known)
    for name, (legal, allowed) in _LEGAL.items():
        if name in content and not legal(content[name]):
            problems.append(f"correction: {name} must be {allowed}, not {content[name]!r}.")
            return Correction()
    return Correction(**{name: content[name] for name in known if name in content})


def _scale(unit: Any, problems: list[str]) -> float:
    if isinstance(unit, str) and unit in UNITS:
        return UNITS[unit]
    problems.append(f"unit must say what the values are in, not {unit!r}. Allowed: {', '.join(UNITS)}.")
    return 1.0


def _slots(content: Any, scale: float, problems: list[str]) -> dict[Place, Timing]:
    if not isinstance(content, list):
        problems.append("slots must be a list of objects, one a place and operator.")
        return {}
    found: dict[Place, Timing] = {}
    for number, row in enumerate(content, 1):
        where = f"slot {number}: "
        if not isinstance(row, Mapping):
            problems.append(f"{where}must be an object, not {row!r}.")
            continue
        problems += _unknown(where, row, (*KEYS, "value", "iqr"))
        value, iqr = row.get("value"), row.get("iqr", 0)
        if value is None:
            continue  # not filled in yet
        if not _number(value) or not _number(iqr, at_least=0):
            name, wrong, least = ("iqr", iqr, "0 or more") if _number(value) else ("value", value, "above 0")
            problems.append(f"{where}{name} must be a number, {least}, not {wrong!r}.")
            continue
        try:
            place = place_from(row)
        except UsageError as error:
            problems.append(f"{where}{error}")
            continue
        timing = Timing(max(1, round(value * scale)), round(iqr * scale))
        if found.setdefault(place, timing) != timing:
            problems.append(f"{where}the same place and operator as an earlier one, with another value. Keep one of them.")
    return found


def _number(value: Any, at_least: float | None = None) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        return False
    return value > 0 if at_least is None else value >= at_least


_LEGAL: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "factor": (lambda v: _number(v, at_least=0), "a number, 0 or more"),
    "per_slot": (lambda v: _number(v, at_least=0), "a number, 0 or more"),
    "space": (lambda v: isinstance(v, str), "a text"),
    "networks": (lambda v: _number(v, at_least=0) and isinstance(v, int), "a whole number, 0 or more"),
    "error": (lambda v: v is None or _number(v, at_least=0), "a number, 0 or more, or null"),
    "order": (lambda v: v is None or (_number(v, at_least=-1) and v <= 1), "a number, -1 to 1, or null"),
}
"""Allowed values in a correction: key -> (check, description of what is allowed)."""
