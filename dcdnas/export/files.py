"""Writes exported files and folders so that they appear under their names only when they are complete and checked."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Collection, Iterator
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
    """Yields a temporary path beside `path`, which is renamed to `path` if the block succeeds and removed otherwise.

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
def whole(folder: Path, outdated: Collection[str] = ()) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`, whose files are moved there if the block succeeds, and none of them otherwise.

    Where a move fails or is interrupted, the earlier ones are undone. Only a process that is killed, or a machine that goes down,
    during the moves can leave a part of them.

    A signal that asks the process to terminate ends the block with an exception; the leftovers of a killed process are removed
    by the next export to the same folder.

    Args:
        folder: the final folder, which may exist.
        outdated: names of files that are removed from it.

    Raises:
        UsageError: when the files cannot be written to the folder.
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
            _moved(made, final, outdated)
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
    """Within the block, signals that ask the process to end raise SystemExit, so that it cleans up; only in the main thread."""

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
    """Locks the folder within the block and yields whether that succeeded; the lock ends with the process in any case."""
    held = os.open(folder, os.O_RDONLY)
    try:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # this system has no locks, or another process holds it
        yield False
    else:
        yield True
    finally:
        os.close(held)


def _remove_leftovers(final: Path) -> None:
    """Removes the temporary folders of killed processes; running ones hold a lock on theirs."""
    for left in leftovers(final):
        with suppress(OSError), _held(left) as ours:
            if ours:
                shutil.rmtree(left)


def _moved(made: Path, final: Path, outdated: Collection[str]) -> None:
    """Renames the folder to its final name; if that exists already, moves the files into it and the outdated ones out of it."""
    if not final.exists():
        os.rename(made, final)
        return
    before, new = made / ".before", sorted(file.name for file in made.iterdir())
    before.mkdir()
    try:
        for name in {*new, *outdated}:
            if (final / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name} in it is a folder")
            with suppress(FileNotFoundError):
                os.replace(final / name, before / name)
        for name in new:
            os.replace(made / name, final / name)
    except BaseException:
        for name in new:
            if not (made / name).exists():
                (final / name).unlink(missing_ok=True)
        for old in before.iterdir():
            os.replace(old, final / old.name)
        raise
