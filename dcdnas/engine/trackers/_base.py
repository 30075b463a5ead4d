"""Defines the base class of experiment trackers, which the driver notifies of every epoch and every finished training."""

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
        folder: folder of the run.
        config: config of the search.

    Raises:
        MissingPackageError: when its package is not installed.
    """

    PACKAGE: ClassVar[str] = ""
    """Optional package that the tracker uses; a search with this tracker starts only if the package is installed."""

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        self.check()
        self.folder, self.config = folder, config

    @classmethod
    def check(cls) -> None:
        """Checks that the package is installed.

        Raises:
            MissingPackageError: when it is not; the message says how to install it.
        """
        if cls.PACKAGE:
            need("trackers", f"--log {cls.__module__.rpartition('.')[2]}", cls.PACKAGE)

    @abstractmethod
    def trial(self, trial: Trial) -> None:
        """Logs a trial after an epoch or at its end; its score is the latest one."""

    @abstractmethod
    def search(self, ended: int, hypervolume: float, best: float | None) -> None:
        """Logs the search after `ended` trainings: its hypervolume (0-1) and the best value of the primary objective."""

    def close(self) -> None:  # noqa: B027 - most trackers have nothing to close
        """Ends the tracking; everything logged so far is kept."""
