"""Disk cache of reproducible data that several runs use: prices, times, decoded pictures, the output of `dcdnas list`.

Any file may be deleted at any time, and several processes may use the same file. The name of a file contains a digest of what its
content was made from, so that stale content is never read. Of each kind only the most recently used files are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dcdnas.core.files import leftovers, replaced

FILES = 20
"""Number of files of each kind that are kept; the least recently used are deleted first."""


KINDS = ("images", "kernels", "known", "latency", "list", "pictures", "prices", "spaces")
"""First words of the names of all files in the cache."""

_OURS = re.compile(rf"(?:{'|'.join(KINDS)})-[0-9a-f]{{16,}}\.(?:json|jsonl|npy|so)")


def cache_folder() -> Path:
    """Folder of the cache: the environment variable ``DCDNAS_CACHE``, else ``dcdnas`` in the user's cache folder."""
    named = os.environ.get("DCDNAS_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named).expanduser() if named else Path(home).expanduser() / "dcdnas"


def cached_files() -> list[Path]:
    """The files of the cache. Its folder may hold other files and folders, such as fetched data or the user's own."""
    folder = cache_folder()
    return sorted(p for p in folder.iterdir() if p.is_file() and _OURS.fullmatch(p.name)) if folder.is_dir() else []


def code_digest(package: Path = Path(__file__).parents[1]) -> str:
    """Digest of the package's Python code and shipped spaces, for naming cached data that only this version makes."""
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.glob("search_spaces/*.yaml")]):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Records:
    """Values by key in a JSON Lines file, to which several processes may append at the same time.

    Truncated lines are skipped. Where the file cannot be written, values are not kept and no error is raised.

    Args:
        name: name of the file, like ``prices-0123abcd``: the kind of its content, and a digest of what that was made from.
    """

    name: str

    @property
    def path(self) -> Path:
        """Path of the file."""
        return cache_folder() / f"{self.name}.jsonl"

    def read(self, only: str | None = None) -> dict[str, Any]:
        """Reads the latest value of each key, or only that of the key `only`, without decoding the lines of other keys."""
        found: dict[str, Any] = {}
        start = "" if only is None else f"[{json.dumps(only)},"
        with suppress(OSError):
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith(start):
                    with suppress(ValueError, TypeError, RecursionError):
                        key, value = json.loads(line)
                        found[str(key)] = value
            os.utime(self.path)
        return found

    def append(self, key: str, value: object) -> None:
        """Appends a value, which replaces any earlier value of its key."""
        with suppress(OSError):  # a full or read-only disk must only cost time
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _prune(self.path)
            with self.path.open("a+b", buffering=0) as file, _alone(file):
                cut_off = file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
                file.write(b"\n" * bool(cut_off) + f"{json.dumps([key, value])}\n".encode())


def cached_file(name: str, make: Callable[[IO[bytes]], None]) -> Path:
    """Returns the path of a file in the cache, which the first process that needs it makes while others wait.

    Args:
        name: name of the file, like ``images-0123abcd.npy``: its kind, and a digest of what it is made from.
        make: writes the content; not called when the file exists.

    Raises:
        OSError: when the file cannot be written; then none is left behind.
    """
    path = cache_folder() / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            if not path.exists():
                _prune(path)
                with replaced(path) as file:
                    make(file)
    with suppress(OSError):
        os.utime(path)
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks a file, which need not exist yet, against other processes and threads that use this function.

    The lock ends with its process, even when that is killed. Temporary files that a killed writer left beside it are removed.
    Where the system has no file locks, the work may be done twice.

    Raises:
        OSError: when the folder cannot be written to.
    """
    beside = path.with_name(f".{path.name}.lock")
    while True:
        with beside.open("ab") as file, _alone(file) as alone:
            if alone and not _same(file, beside):
                continue  # the previous holder removed the lock file, and a new one may exist by now
            if alone:
                for left in leftovers(path):
                    left.unlink(missing_ok=True)
            try:
                yield
            finally:
                with suppress(OSError):
                    beside.unlink()
            return


@contextmanager
def _alone(file: IO[bytes]) -> Iterator[bool]:
    """Waits for the lock of an open file and holds it; yields whether the system has file locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    except (ImportError, OSError):
        yield False
    else:
        yield True


def _same(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is the file that is now at this path."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _prune(path: Path) -> None:
    """Deletes the least recently used files of the same kind to make room for one more."""
    same = path.parent.glob(f"{path.name.partition('-')[0]}-*{path.suffix}")
    for old in sorted(same, key=_last_used, reverse=True)[FILES - 1 :]:
        old.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
