"""What a tracker of experiments is to a search: it is told each epoch and each end, in the driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from dcdnas.core.extras import need
from dcdnas.core.trial import Trial
from dcdnas.engine.config import SearchConfig


class Tracker(ABC):
    """Base of the trackers.

    Args:
        folder: of the run.
        config: of the search.

    Raises:
        MissingPackageError: when its package is not installed.
    """

    PACKAGE: ClassVar[str] = ""
    """Optional package that it hands over to; a search that asks for the tracker begins only where it is installed."""

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        self.check()
        self.folder, self.config = folder, config

    @classmethod
    def check(cls) -> None:
        """Refuses to begin without the package.

        Raises:
            MissingPackageError: saying how to install it.
        """
        if cls.PACKAGE:
            need("trackers", f"--log {cls.__module__.rpartition('.')[2]}", cls.PACKAGE)

    @abstractmethod
    def trial(self, trial: Trial) -> None:
        """Takes a trial after an epoch or at its end; its score is the newest."""

    @abstractmethod
    def search(self, ended: int, hypervolume: float, best: float | None) -> None:
        """Takes how the search stands after `ended` trainings: hypervolume, 0-1, and the best value of the primary objective."""

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """Ends the tracking; what was told is kept."""
