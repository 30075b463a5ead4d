"""How a running search is asked to stop: `dcdnas stop` leaves a file in its folder; Ctrl-C and batch systems send signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dcdnas.core.files import read_text, write_whole
from dcdnas.core.trial import Ending
from dcdnas.errors import FileError, RunError

FILE = "stop-requested"

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a driver to end: Ctrl-C, the system or a batch scheduler, a terminal that closes."""


@dataclass(frozen=True)
class Wish:
    """What is asked of the driver, the process that searches a run.

    Args:
        ending: that of the search, if the wish is granted; None when nobody asks.
        now: whether what is running is interrupted too; else only nothing more is handed out.
    """

    ending: Ending | None = None
    now: bool = False


NOTHING = Wish()


def request_stop(folder: Path, now: bool) -> None:
    """Asks the driver to hand out nothing more, or to interrupt what is running too."""
    write_whole(folder / FILE, "now" if now else "when idle")


def requested(folder: Path) -> Wish:
    """What was asked with `request_stop`."""
    try:
        word = read_text(folder / FILE, 100)
    except FileError:
        return NOTHING
    return Wish(Ending.STOPPED, now=word == "now")


def clear_request(folder: Path) -> None:
    """Forgets an earlier request.

    Raises:
        RunError: when it cannot be removed.
    """
    try:
        (folder / FILE).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder / FILE}: cannot be removed: {error.strerror or error}. Is the folder yours, and its disk writable?"
        ) from None


class Signals:
    """Signals that ask this process to end, taken down instead of breaking into whatever it is just doing.

    The first one is a wish that the search grants at its next event; a second Ctrl-C breaks into what is just done.

    Args:
        told: called at each signal with how many there were, e.g. to say what happens, or to end the process at the second.
    """

    def __init__(self, told: Callable[[int], None] = lambda times: None) -> None:
        self.told, self.times = told, 0
        self.wish = NOTHING
        self.breaks_in = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes signals within the block; does nothing outside the main thread, and leaves ignored ones ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.getsignal(s) for s in SIGNALS}
        taken = [s for s, handler in before.items() if handler not in (signal.SIG_IGN, None)]
        for s in taken:
            signal.signal(s, self._take)
        try:
            yield
        finally:
            for s in taken:
                signal.signal(s, before[s])

    def _take(self, number: int, frame: FrameType | None) -> None:
        again = self.wish.now
        self.wish = Wish(Ending.INTERRUPTED, now=True)
        self.times += 1
        self.told(self.times)
        if again or self.breaks_in:
            raise KeyboardInterrupt

    @contextmanager
    def breaking_in(self) -> Iterator[None]:
        """Within the block a signal raises KeyboardInterrupt at once: for a training that runs in this process."""
        self.breaks_in = True
        try:
            yield
        finally:
            self.breaks_in = False
