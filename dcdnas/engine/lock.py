"""One driver a run: a small file with the driver's process, host and heartbeat.

A second driver beside a live one is refused; the lock of a dead one (its process is gone, or on another host its heartbeat
is old) is taken over. A driver whose lock was taken notices at its next heartbeat and stops.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from dcdnas.errors import RunError

BEAT = 5.0
"""Seconds between heartbeats."""

STALE = 60.0
"""Seconds without a heartbeat after which a driver on another host counts as dead."""


class RunLock:
    """Held by the driver of a run while it lives; a context manager.

    Args:
        folder: of the run.

    Raises:
        RunError: when another driver is alive.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "driver.json"
        self.token = uuid4().hex
        self.lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="dcdnas-lock", daemon=True)

    def __enter__(self) -> Self:
        holder = live_driver(self.path.parent)
        if holder:
            raise RunError(
                f"{self.path.parent} is being searched by process {holder['pid']} on {holder['host']}. "
                "Wait for it, or end it with `dcdnas stop`."
            )
        self._write()
        if self._read_token() != self.token:
            raise RunError(f"{self.path.parent} was taken by another driver at the same moment. `dcdnas status` shows it.")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if self._read_token() == self.token:
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            if self._read_token() != self.token:
                self.lost = True
                return
            self._write()

    def _write(self) -> None:
        pid = os.getpid()
        content = {"pid": pid, "born": _born(pid), "host": socket.gethostname(), "beat": time.time(), "token": self.token}
        temporary = self.path.with_suffix(f".{self.token}")
        temporary.write_text(json.dumps(content), encoding="utf-8")
        os.replace(temporary, self.path)

    def _read_token(self) -> str:
        return str((_read(self.path) or {}).get("token", ""))


def live_driver(folder: Path) -> dict[str, Any] | None:
    """Process and host of the run's driver when it is alive, else None."""
    holder = _read(folder / "driver.json")
    if holder is None:
        return None
    if holder["host"] == socket.gethostname():
        return holder if _alive(holder["pid"], holder["born"]) else None
    return holder if time.time() - holder["beat"] < STALE else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: content[key] for key in ("pid", "born", "host", "beat", "token")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _alive(pid: int, born: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return bool(born) and _born(pid) == born if Path("/proc/self/stat").exists() else True


def _born(pid: int) -> str:
    """When a process started, in the kernel's ticks, so that a reused number is another process; "" where unknown."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if values[0] == "Z" else values[19]
    except (OSError, IndexError):
        return ""
