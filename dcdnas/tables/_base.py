"""What a tabular benchmark is to a search: the results of a network's trainings, by its architecture."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from dcdnas.core.architecture import Architecture
from dcdnas.data import default_folder
from dcdnas.errors import DataError

Curve = tuple[Mapping[str, float], ...]
"""What one training said after each of its epochs, by the name of the objective; of the end alone where no more is known."""


class Table(ABC):
    """A benchmark's results, read from its file.

    Args:
        path: of the file; the benchmark's own when None, see `standard_path`.

    Raises:
        DataError: when the file is missing, damaged or none of this benchmark.
    """

    NAME: ClassVar[str]
    """As it is fetched, and as the space of its networks is called."""

    FILE: ClassVar[str]
    """Name of its published file."""

    ABOUT: ClassVar[str]
    """What it holds, in a few words."""

    NETWORK: ClassVar[str]
    """The backbone of its networks, as in `dcdnas.networks`."""

    IMAGES: ClassVar[int]
    """How many images each accuracy was counted on, by which two of them may differ by chance."""

    TRAININGS: ClassVar[int] = 1
    """Of each network, at least. A search sees one of them, and a confirmation the others."""

    EPOCHS: ClassVar[int] = 1
    """Readings of a training, one an epoch; 1 where the end alone is known."""

    OBJECTIVES: ClassVar[tuple[str, ...]] = ("accuracy",)
    """What each reading has."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path).expanduser() if path else self.standard_path()
        self._read()
        self.sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()

    @abstractmethod
    def _read(self) -> None:
        """Reads the file."""

    @classmethod
    def standard_path(cls) -> Path:
        """Where the file is when nobody names one: where `dcdnas data fetch` puts it."""
        return default_folder(cls.NAME) / cls.FILE

    @property
    def scan(self) -> int:
        """Epochs of the short training, on a schedule of its own, that each network has for each of its trainings; 0 for none."""
        return 0

    def scans(self, architecture: Architecture) -> tuple[Curve, ...]:
        """The network's short trainings, each `scan` readings long, in the order of `curves`.

        Raises:
            DataError: when the table does not have them.
        """
        raise DataError(f"{self.path} has no short trainings.")

    @abstractmethod
    def curves(self, architecture: Architecture) -> tuple[Curve, ...]:
        """The network's trainings, each `EPOCHS` readings long.

        Raises:
            DataError: when the table does not have the network.
        """

    def readings(self, architecture: Architecture) -> tuple[float, ...]:
        """The accuracies at the end of the network's trainings, 0-1, one a training.

        Raises:
            DataError: when the table does not have the network.
        """
        return tuple(curve[-1]["accuracy"] for curve in self.curves(architecture))

    @abstractmethod
    def __len__(self) -> int:
        """How many different networks it has."""
