"""A word from outside to a running driver: `dcdnas stop` leaves it in the run's folder, the driver reads it."""

from __future__ import annotations

from pathlib import Path

FILE = "stop-requested"


def request_stop(folder: Path, now: bool) -> None:
    """Asks the driver to hand out nothing more, or to interrupt what is running too."""
    (folder / FILE).write_text("now" if now else "when idle", encoding="utf-8")


def requested(folder: Path) -> str:
    """``now``, ``when idle``, or an empty string."""
    try:
        return (folder / FILE).read_text(encoding="utf-8")
    except OSError:
        return ""


def clear(folder: Path) -> None:
    """Forgets an earlier request."""
    (folder / FILE).unlink(missing_ok=True)
