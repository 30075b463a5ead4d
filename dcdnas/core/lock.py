"""Locks the folder of a run or of a training for one process, with a small file that records process, host and heartbeat.

While the holder is alive a second process is refused. The lock of a dead holder (its process is gone or, on another host, its
heartbeat is old) is taken over. A process whose lock was taken over notices at its next heartbeat and stops. The driver of a run
cannot write even before that heartbeat, because the new driver has also claimed the run's store
(`dcdnas.engine.store.Store.claim`).
"""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from dcdnas.core.files import write_whole
from dcdnas.core.json_files import read_json
from dcdnas.errors import DcdnasError, FileError, RunError

BEAT = 5.0
"""Seconds between heartbeats."""

STALE = 60.0
"""Seconds without a heartbeat after which a driver on another host counts as dead."""


@dataclass(frozen=True)
class Driver:
    """The process that searches a run or trains in a folder.

    Args:
        pid: process id.
        born: when the process started, in the kernel's clock ticks; empty where unknown.
        host: name of the machine that it runs on.
        beat: time of the last heartbeat, in seconds since the epoch.
        token: random word that identifies this holder.
    """

    pid: int
    born: str
    host: str
    beat: float
    token: str


class FolderLock:
    """Lock on a folder that the driver of a run, or a training, holds while it runs; a context manager.

    Args:
        folder: folder of the run or of the training.
        busy: what the error message says that a live process is doing with the folder.
        advice: what the error message tells the user to do.

    Raises:
        RunError: when another process holds the lock and is alive.
    """

    def __init__(
        self, folder: Path, busy: str = "is being searched by", advice: str = "Wait for it, or end it with `dcdnas stop`."
    ) -> None:
        self.path, self.busy, self.advice = folder / "driver.json", busy, advice
        self.token = uuid4().hex
        self.lost = False
        self.found_dead = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="dcdnas-lock", daemon=True)

    def check_free(self) -> None:
        """Raises the RunError with which the lock is refused, when another process holds it and is alive."""
        holder = live_driver(self.path.parent)
        if holder:
            raise RunError(f"{self.path.parent} {self.busy} process {holder['pid']} on {holder['host']}. {self.advice}")

    def __enter__(self) -> Self:
        self.check_free()
        self.found_dead = self.path.exists()
        self._write()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if not self._taken():
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            self.lost = self.lost or self._taken()
            if self.lost:
                return
            with suppress(DcdnasError):  # a full disk must not end the heartbeat: the next one may succeed
                self._write()

    def _taken(self) -> bool:
        holder = _read(self.path)
        return holder is not None and holder.token != self.token

    def _write(self) -> None:
        pid = os.getpid()
        holder = Driver(pid, _born(pid), socket.gethostname(), time.time(), self.token)
        write_whole(self.path, json.dumps(asdict(holder)))


def live_driver(folder: Path) -> dict[str, Any] | None:
    """The record of the run's driver (``pid``, ``host`` and the other fields of `Driver`) when it is alive, else None."""
    holder = _read(folder / "driver.json")
    if holder is None:
        return None
    here = holder.host == socket.gethostname()
    alive = _alive(holder.pid, holder.born) if here else _beating(folder / "driver.json", holder)
    return asdict(holder) if alive else None


def _beating(path: Path, holder: Driver) -> bool:
    """Whether another host's driver has a recent heartbeat by its clock or, where that is ahead of ours, by the file's mtime."""
    now, beat = time.time(), holder.beat
    if not beat <= now + STALE:
        try:
            beat = path.stat().st_mtime
        except OSError:
            return False
    return abs(now - beat) < STALE


def _read(path: Path) -> Driver | None:
    """The driver that the file records; None when there is no file, or its content is not what a driver writes."""
    try:
        content = read_json(path)
        holder = Driver(**content)
    except (FileError, TypeError):
        return None
    kinds = {"pid": int, "born": str, "host": str, "beat": float, "token": str}
    right = all(type(content[name]) is kind for name, kind in kinds.items())
    return holder if right and holder.pid > 0 and math.isfinite(holder.beat) else None


def _alive(pid: int, born: str) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return _born(pid) == born != "" if Path("/proc/self/stat").exists() else True


def _born(pid: int) -> str:
    """When a process started, in the kernel's clock ticks, which makes a reused process id distinguishable; "" where unknown."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if values[0] == "Z" else values[19]
    except (OSError, IndexError):
        return ""
