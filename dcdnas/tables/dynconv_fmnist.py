"""dynconv-fmnist: the 396 networks of the space dynconv-fmnist, each trained twice on 8,000 images of Fashion-MNIST.

The networks are small, 0.16 to 0.36 MFLOPs, and differ in width, in expansion, and in the dynamic convolutions of their stem,
1x1 and depthwise layers. Each training reports accuracy and loss on 2,000 other images after every epoch.
docs/dynconv-fmnist.md describes the data and the results; ``benchmarks/dynconv_fmnist.py`` made them.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

from dcdnas.core.architecture import Architecture
from dcdnas.errors import DataError
from dcdnas.networks import identity
from dcdnas.space.library import load_space
from dcdnas.space.search_space import SearchSpace
from dcdnas.tables._base import Curve, Table

__all__ = ["DynconvFmnist"]

LARGEST = 2**23
"""Largest size of the table in bytes, uncompressed."""

SPACE = "dynconv-fmnist"

READ = ("accuracy", "loss")
"""Names of the columns that exist once per epoch, followed by its number."""

SCAN = 1
"""Number of epochs of the short trainings that every network has."""

COUNTS = ("seed", "epochs", "flops", "params")
"""The columns of integers."""


class DynconvFmnist(Table):
    """Accuracy and loss of 396 small networks of dynamic convolutions, after each of 8 epochs, for two seeds."""

    NAME = SPACE
    FILE = "dynconv_fmnist.csv.gz"
    ABOUT = "dynconv-fmnist: accuracies on Fashion-MNIST, two trainings of 8 epochs a network"
    NETWORK = "mobilenetv2"
    IMAGES = 2_000
    TRAININGS = 2
    EPOCHS = 8
    OBJECTIVES = ("accuracy", "loss")

    @classmethod
    def standard_path(cls) -> Path:
        """Path of the table in the package."""
        return Path(__file__).with_name(cls.FILE)

    def _read(self) -> None:
        self._curves: dict[str, tuple[Curve, ...]] = {}
        self._scans: dict[str, tuple[Curve, ...]] = {}
        try:
            for row in _rows(self.path):
                found = {self.EPOCHS: self._curves, SCAN: self._scans}.get(int(row["epochs"]))
                if found is not None:
                    network = _network(tuple(row[decision.name] for decision in _space().decisions))
                    found[network] = (*found.get(network, ()), _curve(row, int(row["epochs"])))
        except (OSError, EOFError, zlib.error, csv.Error, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.path}: damaged or no table of {self.NAME}: {type(error).__name__}: {error}.") from None
        if not self._curves:
            raise DataError(f"{self.path}: no table of {self.NAME}: it has no training of {self.EPOCHS} epochs.")

    @property
    def scan(self) -> int:
        """One epoch, if the file has a short training for each training of each of its networks, which may be a part; else 0."""
        return SCAN if all(len(self._scans.get(name, ())) == len(found) for name, found in self._curves.items()) else 0

    def scans(self, architecture: Architecture) -> tuple[Curve, ...]:
        """The network's short trainings, looked up by `dcdnas.networks.identity`."""
        return self._of(self._scans, architecture)

    def curves(self, architecture: Architecture) -> tuple[Curve, ...]:
        """The network's trainings, looked up by `dcdnas.networks.identity`."""
        return self._of(self._curves, architecture)

    def _of(self, trainings: Mapping[str, tuple[Curve, ...]], architecture: Architecture) -> tuple[Curve, ...]:
        found = trainings.get(identity(architecture))
        if found is None:
            raise DataError(
                f"{self.path} has {len(self):,} networks, and this {architecture.named} is not among them. Search the space "
                f"{self.NAME}, or a part of it."
            )
        return found

    def __len__(self) -> int:
        return len(self._curves)

    def rows(self) -> list[dict[str, int | float | str | None]]:
        """All trainings, also those of 1 and 3 epochs: decisions, seed, epochs, cost, readings, seconds; None if missing.

        ``pandas.DataFrame(table.rows())`` makes a data frame of them.
        """
        return [{name: _value(name, text) for name, text in row.items()} for row in _rows(self.path)]


def _value(name: str, text: str) -> int | float | str | None:
    """Converts a cell to the type of its column."""
    if name in COUNTS:
        return int(float(text))
    if name.partition(" ")[0] in (*READ, "seconds"):
        return float(text) if text else None
    return text


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Reads the rows of a file, whose uncompressed size is bounded."""
    with gzip.open(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} bytes")
    yield from csv.DictReader(io.StringIO(content.decode("utf-8")))


def _curve(row: Mapping[str, str], epochs: int) -> Curve:
    found = tuple({name: float(row[f"{name} {epoch}"]) for name in READ} for epoch in range(1, epochs + 1))
    if not all(0 <= reading["accuracy"] <= 1 and math.isfinite(reading["loss"]) for reading in found):
        raise ValueError(f"an accuracy is from 0 to 1, and a loss is a number: {found}")
    return found


@cache
def _space() -> SearchSpace:
    return load_space(SPACE)


@lru_cache(maxsize=500)
def _network(decided: tuple[str, ...]) -> str:
    """Identity of a row's network, from its decisions as text; the text is empty for decisions that it does not have."""
    space, decisions = _space(), {}
    for decision, text in zip(_space().decisions, decided, strict=True):
        if text:
            decisions[decision.name] = {str(option): option for option in decision.options}[text]
    return identity(space.architecture(decisions))
