"""What a tabular benchmark is to a search: the results of a network's trainings, by its architecture."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from dcdnas.core.architecture import Architecture
from dcdnas.data import default_folder


class Table(ABC):
    """A benchmark's results, read from its file.

    Args:
        path: of the file; where `dcdnas data fetch` puts it when None.

    Raises:
        DataError: when the file is missing, damaged or none of this benchmark.
    """

    NAME: ClassVar[str]
    """As it is fetched, and as the space of its networks is called."""

    FILE: ClassVar[str]
    """Name of its published file."""

    ABOUT: ClassVar[str]
    """What it holds, in a few words."""

    IMAGES: ClassVar[int]
    """How many images each accuracy was counted on, by which two of them may differ by chance."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path).expanduser() if path else default_folder(self.NAME) / self.FILE
        self._read()
        self.sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()

    @abstractmethod
    def _read(self) -> None:
        """Reads the file."""

    @abstractmethod
    def readings(self, architecture: Architecture) -> tuple[float, ...]:
        """The accuracies of the network's trainings, 0-1, one a training.

        Raises:
            DataError: when the table does not have the network.
        """

    @abstractmethod
    def __len__(self) -> int:
        """How many different networks it has."""
