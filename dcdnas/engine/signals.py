"""Receives requests to stop a search: `dcdnas stop` leaves a file in the run's folder; Ctrl-C and batch systems send signals."""

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
"""Signals that ask a driver to end: from Ctrl-C, from the system or a batch scheduler, and from a closed terminal."""


@dataclass(frozen=True)
class Wish:
    """A request to the driver, the process that searches a run.

    Args:
        ending: how the search ends if the request is granted; None when there is no request.
        now: whether running trainings are interrupted; otherwise they finish, and no new ones start.
    """

    ending: Ending | None = None
    now: bool = False


NOTHING = Wish()


def request_stop(folder: Path, now: bool) -> None:
    """Asks the driver to start no new trainings, or with `now` to interrupt the running ones as well."""
    write_whole(folder / FILE, "now" if now else "when idle")


def requested(folder: Path) -> Wish:
    """Reads the request that `request_stop` wrote."""
    try:
        word = read_text(folder / FILE, 100)
    except FileError:
        return NOTHING
    return Wish(Ending.STOPPED, now=word == "now")


def clear_request(folder: Path) -> None:
    """Removes an earlier request.

    Raises:
        RunError: when its file cannot be removed.
    """
    try:
        (folder / FILE).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder / FILE}: cannot be removed: {error.strerror or error}. Is the folder yours, and its disk writable?"
        ) from None


class Signals:
    """Records signals that ask this process to end, instead of interrupting its current work.

    The search grants the first request at its next event; a second signal raises KeyboardInterrupt at once.

    Args:
        told: called at each signal with the number of signals so far, e.g. to print a message, or to end the process at the
            second one.
    """

    def __init__(self, told: Callable[[int], None] = lambda times: None) -> None:
        self.told, self.times = told, 0
        self.wish = NOTHING
        self.breaks_in = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles the signals within the block; does nothing outside the main thread, and keeps ignored signals ignored."""
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
        """Context in which a signal raises KeyboardInterrupt at once, for a training that runs in this process."""
        self.breaks_in = True
        try:
            yield
        finally:
            self.breaks_in = False
