"""Small files, which are read in full up to a size limit, and written atomically: completely or not at all."""

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
    """Whether a file exists; False for a name that the file system cannot have, because it is too long or contains a NUL."""
    return os.path.isfile(path)


def is_folder(path: str | Path) -> bool:
    """Whether a folder exists; False for a name that the file system cannot have, as for `is_file`."""
    return os.path.isdir(path)


def read_text(path: str | Path, most: int) -> str:
    """Reads the text of an untrusted file.

    Args:
        path: path of the file.
        most: largest size in bytes; a larger file is refused before it fills the memory.

    Raises:
        FileError: when the file cannot be read, is too large or is no UTF-8 text.
    """
    try:
        check_ends(path)
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(content) > most:
        raise FileError(f"{path}: the file is too large. Allowed: {most:,} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path}:{line}: cannot be read as UTF-8 text: byte 0x{content[error.start]:02x}. Save it as UTF-8."
        ) from None


def check_ends(path: str | Path) -> None:
    """Raises OSError for pipes and sockets, whose reading could block forever, and for a file that does not exist.

    A shell's ``<(command)`` and the standard input under /dev or /proc are accepted.
    """
    kind = os.stat(path).st_mode
    if (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)) and not os.fspath(path).startswith(("/dev/fd/", "/dev/std", "/proc/")):
        raise OSError(errno.EINVAL, "it is a pipe or a socket, which may never end")


@contextmanager
def utf8_path(path: str | Path) -> Iterator[str]:
    """A path to an existing file for libraries that accept only paths in UTF-8: the file's own, else one of a descriptor of it.

    Raises:
        OSError: when the path is no UTF-8 text and the file cannot be opened.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        with open(path, "rb") as file:
            yield f"/dev/fd/{file.fileno()}"
    else:
        yield os.fspath(path)


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file that replaces `path` when the block ends, so that readers see either the old or the new content.

    This holds after a crash, too.

    Raises:
        OSError: when the file cannot be written. Then, and when the block raises, the old content stays.
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
    """Finds the temporary files of writers that were killed while they replaced this file."""
    return path.parent.glob(f".{glob.escape(path.name)}.*.new")


def make_folder(folder: Path) -> None:
    """Makes a writable folder and its parents, if they do not exist yet.

    Raises:
        RunError: when the folder cannot be made or is not writable.
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
    """Writes a file atomically: a reader sees the old or the new content, also after a crash at any moment.

    Raises:
        Resumable: when the disk is full.
        RunError: when the folder cannot be written to.
    """
    try:
        with replaced(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Resumable(
                f"{path}: {error.strerror}. Nothing that was written before is lost: free some space, then resume."
            ) from None
        raise RunError(f"{path}: cannot be written: {error.strerror or error}. Give a folder that you may write to.") from None


def runs_folder() -> Path:
    """Folder of the runs: the environment variable ``DCDNAS_RUNS``, else ``runs/`` in the working folder."""
    return Path(os.environ.get("DCDNAS_RUNS") or "runs").expanduser()
