"""Reads JSON from untrusted files, with bounded size and depth; every problem raises a `FileError`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dcdnas.core.files import read_text
from dcdnas.errors import FileError

BYTES = 64_000_000
"""Largest size of a file, in bytes; the latency table of a large space has a few million."""

DEPTH = 64
"""Largest nesting depth of lists and objects."""

DIGITS = 300
"""Largest number of characters in an integer, which keeps it within the range of a float."""


def read_json(path: str | Path, most: int = BYTES) -> Any:
    """Reads a JSON file of at most `most` bytes.

    Raises:
        FileError: when it cannot be read, is no JSON, has a duplicate key, or is too long or nested too deeply.
    """
    return parse_json(read_text(path, most), str(path))


def parse_json(text: str, path: str) -> Any:
    """Reads JSON text; messages refer to it by `path`.

    Raises:
        FileError: when it is no JSON, has a duplicate key or too long an integer, or is nested too deeply.
    """

    def whole(digits: str) -> int:
        if len(digits) > DIGITS:
            line = text.count("\n", 0, text.find(digits)) + 1
            raise FileError(f"{path}:{line}: a number of {len(digits):,} characters. Allowed: {DIGITS}.")
        return int(digits)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise FileError(f"{path}: {twice!r} is given twice in one object. Keep one of them.")
        return found

    deep = FileError(f"{path}: lists and objects are nested more than {DEPTH} deep. Write them flatter.")
    try:
        data = json.loads(text, parse_int=whole, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise FileError(f"{path}:{error.lineno}: not valid JSON: {error.msg}.") from None
    except RecursionError:
        raise deep from None
    if _deeper(data, DEPTH):
        raise deep
    return data


def _deeper(data: Any, depth: int) -> bool:
    """Whether data are nested more than `depth` levels deep."""
    level = [data]
    for _ in range(depth + 1):
        if not level:
            return False
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, (dict, list))]
        level = [value for values in inner for value in values]
    return bool(level)
