"""What a tracker of experiments is to a search: it is told each epoch and each end, in the driver."""

from __future__ import annotations

from pathlib import Path

from dcdnas.core.trial import Trial
from dcdnas.engine.config import SearchConfig


class Tracker:
    """Base of the trackers.

    Args:
        folder: of the run.
        config: of the search.

    Raises:
        MissingPackageError: when its package is not installed.
    """

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        self.folder, self.config = folder, config

    def trial(self, trial: Trial) -> None:
        """Takes a trial after an epoch or at its end; its score is the newest."""
        raise NotImplementedError(type(self).__name__)

    def search(self, ended: int, hypervolume: float, best: float | None) -> None:
        """Takes how the search stands after `ended` trainings: hypervolume, 0-1, and the best value of the primary objective."""
        raise NotImplementedError(type(self).__name__)

    def close(self) -> None:
        """Ends the tracking; what was told is kept."""
