"""Small files: read whole within a limit, written whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from dcdnas.errors import FileError, Resumable, RunError


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; no file has a name that is too long for the file system, or has a NUL in it."""
    return os.path.isfile(path)


def is_folder(path: str | Path) -> bool:
    """Whether there is such a folder; none has a name that is too long, or has a NUL in it."""
    return os.path.isdir(path)


def read_text(path: str | Path, most: int) -> str:
    """The text of a file that anybody may have written.

    Args:
        path: of the file.
        most: bytes that are read; a longer file is refused before it fills the memory.

    Raises:
        FileError: when it cannot be read, is too long or is no UTF-8 text.
    """
    try:
        if _waits(path):
            raise OSError(errno.EINVAL, "it is a pipe or a socket, which may never end")
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(content) > most:
        raise FileError(f"{path}: too long for what it should be. Allowed: {most:,} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path}:{line}: cannot be read as UTF-8 text: byte 0x{content[error.start]:02x}. Save it as UTF-8."
        ) from None


def _waits(path: str | Path) -> bool:
    """Whether reading may wait for another program; what a shell puts in place of a file, like ``<(command)``, is meant to."""
    kind = os.stat(path).st_mode
    return (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)) and not os.fspath(path).startswith(("/dev/", "/proc/"))


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes its place when the block ends: a reader, and a crash, finds the old content or the new one.

    Raises:
        OSError: when it cannot be written. Then, and when the block raises, what was there stays.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.new")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def leftovers(path: Path) -> Iterator[Path]:
    """The unfinished files of writers that were killed while they replaced this one."""
    return path.parent.glob(f".{glob.escape(path.name)}.*.new")


def make_folder(folder: Path) -> None:
    """Makes a folder that something is written to, and those that it is in; nothing happens when it is there.

    Raises:
        RunError: when it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be written to: {error.strerror or error}. Give a folder that you may write to."
        ) from None


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader, and a crash at any moment, finds the old content or the new one.

    Raises:
        Resumable: when the disk is full.
        RunError: when the folder cannot be written to.
    """
    try:
        with replaced(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Resumable(f"{path}: {error.strerror}. Nothing that was written is lost: free some space, then go on.") from None
        raise RunError(f"{path}: cannot be written: {error.strerror or error}. Give a folder that you may write to.") from None


def runs_folder() -> Path:
    """Where runs are: ``DCDNAS_RUNS``, else ``runs/`` in the working folder."""
    return Path(os.environ.get("DCDNAS_RUNS") or "runs").expanduser()
