"""dynconv-fmnist: the 396 networks of the space of that name, each trained twice on 8,000 images of Fashion-MNIST.

Small networks, 0.16 to 0.36 MFLOPs, that differ in width and expansion and in the dynamic convolutions of their stem, 1x1 and
depthwise layers. Each training says its accuracy and loss on 2,000 other images after every epoch. What it is made of and what it
shows: docs/dynconv-fmnist.md. Made by ``benchmarks/dynconv_fmnist.py``.
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
"""Bytes of the table, unpacked."""

SPACE = "dynconv-fmnist"

READ = ("accuracy", "loss")
"""Columns of a training, numbered by epoch."""

SCAN = 1
"""Epochs of the short trainings that every network has."""

COUNTS = ("seed", "epochs", "flops", "params")
"""Its columns of whole numbers."""


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
        """In the package."""
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
        """One epoch, where a part of the table has it for all trainings."""
        return SCAN if all(len(self._scans.get(name, ())) == len(found) for name, found in self._curves.items()) else 0

    def scans(self, architecture: Architecture) -> tuple[Curve, ...]:
        """By what the network computes."""
        return self._of(self._scans, architecture)

    def curves(self, architecture: Architecture) -> tuple[Curve, ...]:
        """By what the network computes."""
        return self._of(self._curves, architecture)

    def _of(self, trainings: Mapping[str, tuple[Curve, ...]], architecture: Architecture) -> tuple[Curve, ...]:
        found = trainings.get(identity(architecture))
        if found is None:
            raise DataError(
                f"{self.path} has {len(self):,} networks, and this {architecture.named} is none of them. Search the space "
                f"{self.NAME}, or a part of it."
            )
        return found

    def __len__(self) -> int:
        return len(self._curves)

    def rows(self) -> list[dict[str, int | float | str | None]]:
        """All trainings, those of 1 and 3 epochs too: decisions, seed, epochs, price, readings, seconds; None for none.

        ``pandas.DataFrame(table.rows())`` is them as a frame.
        """
        return [{name: _value(name, text) for name, text in row.items()} for row in _rows(self.path)]


def _value(name: str, text: str) -> int | float | str | None:
    """What a cell of a column says."""
    if name in COUNTS:
        return int(float(text))
    if name.partition(" ")[0] in (*READ, "seconds"):
        return float(text) if text else None
    return text


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    """The rows of a file, of bounded length."""
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
    """What a row's network computes, by its decisions as they are written; empty where there is none."""
    space, decisions = _space(), {}
    for decision, text in zip(_space().decisions, decided, strict=True):
        if text:
            decisions[decision.name] = {str(option): option for option in decision.options}[text]
    return identity(space.architecture(decisions))
