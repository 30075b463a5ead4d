"""Interface of tabular benchmarks: the results of a network's trainings, by its architecture."""

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
"""Values of one training after each epoch, by the name of the objective; a single entry where only the final ones are known."""


class Table(ABC):
    """A benchmark's results, read from its file.

    Args:
        path: path of the file; None for the benchmark's standard file, see `standard_path`.

    Raises:
        DataError: when the file is missing, damaged or not a table of this benchmark.
    """

    NAME: ClassVar[str]
    """Name for `dcdnas data fetch`, which is also the name of the space of its networks."""

    FILE: ClassVar[str]
    """Name of its published file."""

    ABOUT: ClassVar[str]
    """Short description of its content."""

    NETWORK: ClassVar[str]
    """The backbone of its networks, as in `dcdnas.networks`."""

    IMAGES: ClassVar[int]
    """Number of images of each accuracy, which determines how much two accuracies may differ by chance."""

    TRAININGS: ClassVar[int] = 1
    """Smallest number of trainings per network. A search sees one of them, and a confirmation the others."""

    EPOCHS: ClassVar[int] = 1
    """Number of readings per training, one per epoch; 1 where only the final one is known."""

    OBJECTIVES: ClassVar[tuple[str, ...]] = ("accuracy",)
    """Names of the values in each reading."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path).expanduser() if path else self.standard_path()
        self._read()
        self.sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()

    @abstractmethod
    def _read(self) -> None:
        """Reads the file."""

    @classmethod
    def standard_path(cls) -> Path:
        """Default location of the file, where `dcdnas data fetch` stores it."""
        return default_folder(cls.NAME) / cls.FILE

    @property
    def scan(self) -> int:
        """Epochs of the short training, with its own schedule, that accompanies each training of each network; 0 for none."""
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
        """Number of different networks in the table."""
