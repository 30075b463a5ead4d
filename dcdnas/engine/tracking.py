"""Passes the progress of a search to the requested trackers.

A tracker that fails, also one that fails when it is made, is dropped; the search continues.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import described
from dcdnas.engine.progress import Progress
from dcdnas.engine.trackers import Tracker, trackers
from dcdnas.errors import DcdnasError


class Tracking(AbstractContextManager["Tracking"]):
    """The trackers of one search.

    Args:
        names: names in `dcdnas.engine.trackers`.
        folder: folder of the run.
        config: config of the search.

    Raises:
        UnknownNameError: for a tracker that does not exist.
        MissingPackageError: for a tracker whose package is not installed.
    """

    def __init__(self, names: Sequence[str], folder: Path, config: SearchConfig) -> None:
        self._trackers: dict[str, Tracker] = {}
        for name in names:
            try:
                self._trackers[name] = trackers[name](folder, config)
            except DcdnasError:
                raise
            except Exception as error:
                _warn(name, error)
        self._seen: tuple[object, ...] = ()
        self._ended = -1

    def take(self, progress: Progress) -> None:
        """Passes on what has changed since the last call."""
        trial = progress.latest
        if trial is not None:
            seen = (trial.number, trial.state, trial.score.epochs if trial.score else 0)
            if seen != self._seen:
                self._seen = seen
                self._tell(lambda tracker: tracker.trial(trial))
        if progress.ended != self._ended:
            self._ended = progress.ended
            best = progress.objective.of(progress.best.score) if progress.best else None
            self._tell(lambda tracker: tracker.search(progress.ended, progress.hypervolume, best))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._tell(lambda tracker: tracker.close())

    def _tell(self, what: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                what(tracker)
            except Exception as error:
                del self._trackers[name]
                _warn(name, error)


def _warn(name: str, error: Exception) -> None:
    logging.getLogger("dcdnas").warning("--log %s failed and is off from now on: %s", name, described(error))
