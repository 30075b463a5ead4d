"""What is kept on disk from one run to the next and can be made again: prices, times, decoded pictures, what `dcdnas list` says.

Any file may be deleted at any time, and several processes may use one. A file's name says what its content was made from, so
that nothing stale is read; of each kind only the files that were used last stay.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dcdnas.core.files import leftovers, replaced

FILES = 20
"""Files of a kind that stay; those go first whose last use is longest ago."""


def cache_folder() -> Path:
    """``DCDNAS_CACHE``, else ``dcdnas`` in the user's cache folder."""
    named = os.environ.get("DCDNAS_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named).expanduser() if named else Path(home).expanduser() / "dcdnas"


def code_digest(package: Path = Path(__file__).parents[1]) -> str:
    """Of all code of the package and of the spaces that ship with it: names what was made by just this code."""
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.glob("search_spaces/*.yaml")]):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Records:
    """Values by key in a file of JSON lines, to which several processes may append at once.

    A line that was cut off is passed over. Where nothing can be written nothing is kept, and nothing fails.

    Args:
        name: of the file, like ``prices-0123abcd``: the kind of what it holds, and a digest of what that was made from.
    """

    name: str

    @property
    def path(self) -> Path:
        """Of the file."""
        return cache_folder() / f"{self.name}.jsonl"

    def read(self, only: str | None = None) -> dict[str, Any]:
        """The latest value of each key, or of `only` one, for which the lines of all others are not decoded."""
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
        """Adds a value, in place of an earlier one of its key."""
        with suppress(OSError):  # a full or read-only disk costs time, nothing else
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _prune(self.path)
            with self.path.open("a+b", buffering=0) as file, _alone(file):
                cut_off = file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
                file.write(b"\n" * bool(cut_off) + f"{json.dumps([key, value])}\n".encode())


def cached_file(name: str, make: Callable[[IO[bytes]], None]) -> Path:
    """A file of the cache, which the first process that needs it makes while the others wait.

    Args:
        name: like ``images-0123abcd.npy``: its kind, and a digest of what it is made from.
        make: writes the content; not called when the file is there.

    Raises:
        OSError: when the file cannot be written; then there is none.
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
    """Holds a file against other processes and threads that hold it the same way, from before it exists.

    The lock ends with its process, however that ends; what a writer that was killed left unfinished beside the file is removed.
    Where the system has no locks, the work may be done twice.

    Raises:
        OSError: when the folder cannot be written to.
    """
    beside = path.with_name(f".{path.name}.lock")
    while True:
        with beside.open("ab") as file, _alone(file) as alone:
            if alone and not _same(file, beside):
                continue  # whoever held it has removed it: another one may be there by now
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
    """Waits for an open file's lock and holds it; says whether there are locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    except (ImportError, OSError):
        yield False
    else:
        yield True


def _same(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is the one of this name."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _prune(path: Path) -> None:
    """Makes room for one more file of its kind."""
    same = path.parent.glob(f"{path.name.partition('-')[0]}-*{path.suffix}")
    for old in sorted(same, key=_last_used, reverse=True)[FILES - 1 :]:
        old.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
