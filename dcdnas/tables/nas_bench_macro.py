"""NAS-Bench-Macro: 3,969 MobileNetV2-like networks under 6,561 names, each trained three times on CIFAR-10 by its authors.

The file is a JSON object that maps a name of eight digits, one per block, to the test accuracies in percent. A part of the
published file is a valid table, too. `dcdnas.networks.nas_bench_macro` describes the block that each digit stands for.

Reference: Su et al., "Prioritized Architecture Sampling with Monte-Carlo Tree Search", CVPR 2021, arXiv:2103.11922;
github.com/xiusu/NAS-Bench-Macro (Apache-2.0).
"""

from __future__ import annotations

import json
from typing import Any

from dcdnas.core.architecture import Architecture
from dcdnas.core.files import read_text
from dcdnas.errors import DataError, FileError
from dcdnas.networks import networks
from dcdnas.tables._base import Curve, Table

__all__ = ["NasBenchMacro"]

KINDS = ("identity", "ir-3x3-t3", "ir-5x5-t6")
"""The kinds of blocks that the digits 0, 1 and 2 stand for."""

LARGEST = 2**24
"""Largest size of the file in bytes; the published one has 1.2 million."""


class NasBenchMacro(Table):
    """Three test accuracies of each network on CIFAR-10, from 45 to 93 %."""

    NAME = "nas-bench-macro"
    FILE = "nas-bench-macro_cifar10.json"
    ABOUT = "NAS-Bench-Macro: test accuracies on CIFAR-10, three trainings a network"
    NETWORK = "nas-bench-macro"
    IMAGES = 10_000
    TRAININGS = 3

    def _read(self) -> None:
        get = f"`dcdnas data fetch {self.NAME}` downloads the table; --table names another file."
        try:
            self._rows = _rows(json.loads(read_text(self.path, LARGEST)))
        except FileError as error:
            raise DataError(f"{error} {get}") from None
        except ValueError as error:
            raise DataError(f"{self.path}: damaged or no table of NAS-Bench-Macro: {error}. {get}") from None

    def curves(self, architecture: Architecture) -> tuple[Curve, ...]:
        """The network's trainings, looked up by the kinds of its eight blocks."""
        name = _name(architecture)
        found = self._rows.get(_shortest(name))
        if found is None:
            raise DataError(
                f"{self.path} has {len(self):,} networks, and {name} is not among them. Give the whole table, or search a space "
                "whose networks are all in the table."
            )
        return tuple(({"accuracy": accuracy},) for accuracy in found)

    def __len__(self) -> int:
        return len(self._rows)


def _rows(content: Any) -> dict[str, tuple[float, ...]]:
    """Reads the accuracies of each network, by its canonical name.

    Raises:
        ValueError: when the content is no table of this benchmark.
    """
    if not isinstance(content, dict) or not content:
        raise ValueError("it has no row")
    return {_shortest(name): _accuracies(name, row) for name, row in content.items()}


def _accuracies(name: str, row: Any) -> tuple[float, ...]:
    """Reads the accuracies of one row as shares of 1."""
    found = row.get("test_acc") if isinstance(row, dict) else None
    if not isinstance(found, list) or not found or not all(isinstance(v, int | float) and 0 <= v <= 100 for v in found):
        raise ValueError(f"the test_acc of {name} cannot be {found!r}; it is a list of accuracies in per cent")
    return tuple(value / 100 for value in found)


def _name(architecture: Architecture) -> str:
    """Name of a network in the benchmark, eight digits.

    Raises:
        DataError: when the benchmark does not have the network.
    """
    cls = networks["nas-bench-macro"]
    own = cls.complete(architecture.settings) if architecture.network == "nas-bench-macro" else {}
    rest = {name: value for name, value in cls.complete({}).items() if name != "block"}
    same = {name: value for name, value in own.items() if name != "block"} == rest and not architecture.layers
    if not same or (architecture.input, architecture.classes) != ((3, 32, 32), 10):
        raise DataError(
            "the networks of NAS-Bench-Macro have its channels, strides and depth, static layers, 3x32x32 images and 10 classes. "
            "Search the space nas-bench-macro, or a part of it."
        )
    rows: Any = own["block"]
    return "".join(str(KINDS.index(kind)) for row in rows for kind in row)


def _shortest(name: str) -> str:
    """Canonical name of a network: in each stage, the identity blocks after the first block are moved to the end."""
    if len(name) != 8 or set(name) - set("012"):
        raise ValueError(f"{name!r} is not the name of a network, which has eight digits 0, 1 or 2")
    parts = (name[:2], name[2:5], name[5:])
    return "".join(part[0] + part[1:].replace("0", "").ljust(len(part) - 1, "0") for part in parts)
