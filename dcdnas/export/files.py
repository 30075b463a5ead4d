"""Exported files get their names when they are complete and checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcdnas.errors import UsageError


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which becomes `path` when the block ends well and nothing otherwise.

    Raises:
        UsageError: when the file cannot be written.
    """
    part = path.with_name(f".part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}. Name another place with -o.") from None
    finally:
        part.unlink(missing_ok=True)
