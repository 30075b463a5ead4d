"""Exported files and folders get their names when they are complete and checked."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from uuid import uuid4

from dcdnas.core.files import leftovers
from dcdnas.errors import DcdnasError, UsageError

ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a process to end; Ctrl-C raises KeyboardInterrupt by itself."""


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

    A signal that asks the process to end is an end of the block; what a killed process has left is removed by the next one.

    Raises:
        UsageError: when they cannot be put there.
    """
    final = folder.absolute()
    made = final.with_name(f".{final.name}.{uuid4().hex[:8]}.new")
    try:
        if final.exists() and not final.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        _remove_leftovers(final)
        made.mkdir(parents=True)
        with _ended_by_signals(), _held(made):
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


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Within, what asks the process to end raises SystemExit, so that everything is tidied up; in the main thread alone."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Within, the folder is locked, which ends with the process, however that ends; says whether it is."""
    held = os.open(folder, os.O_RDONLY)
    try:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # no locks here, or held by another process
        yield False
    else:
        yield True
    finally:
        os.close(held)


def _remove_leftovers(final: Path) -> None:
    """Removes the folders of writers that were killed; those of live ones are held."""
    for left in leftovers(final):
        with suppress(OSError), _held(left) as ours:
            if ours:
                shutil.rmtree(left)


def _moved(made: Path, final: Path) -> None:
    """Renames the folder, or where there is one its files into that."""
    if not final.exists():
        os.rename(made, final)
        return
    for file in sorted(made.iterdir()):
        os.replace(file, final / file.name)
