"""Exported files and folders get their names when they are complete and checked."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from dcdnas.errors import DcdnasError, UsageError


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


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to write to, whose files get there when the block ends well, and none of them otherwise.

    Raises:
        UsageError: when they cannot be put there.
    """
    final = folder.absolute()
    made = final.with_name(f".{final.name}.{uuid4().hex[:8]}.new")
    try:
        if final.exists() and not final.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        made.mkdir(parents=True)
        yield made
        _moved(made, final)
    except DcdnasError as error:
        error.args = tuple(str(part).replace(str(made), str(folder)) for part in error.args)
        raise
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{folder}: cannot be written to: {reason}. Give a folder that you may write to.") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _moved(made: Path, final: Path) -> None:
    """Renames the folder, or where there is one its files into that."""
    if not final.exists():
        os.rename(made, final)
        return
    for file in sorted(made.iterdir()):
        os.replace(file, final / file.name)
