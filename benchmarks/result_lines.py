"""Reads the lines of JSON in which benchmarks store their results, so that an interrupted benchmark resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def rows_of(path: Path) -> list[Any]:
    """Returns the lines of a file; none if it does not exist.

    A last line that was only partly written is removed from the file, so that what it belongs to is measured again.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        path.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]
