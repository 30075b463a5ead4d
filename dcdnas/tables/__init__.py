"""Tabular benchmarks: recorded results of trained networks, one benchmark per file; the folder is a catalogue.

A search on a table takes seconds, because every training is looked up. A benchmark has the name of the space of its networks.
"""

from pathlib import Path

from dcdnas.core.catalogue import Catalogue
from dcdnas.tables._base import Curve, Table

tables: Catalogue[type[Table]] = Catalogue("tables", "table", listed="")


def load(name: str, path: str | Path | None = None) -> Table:
    """Reads the table of a benchmark.

    Example: ``dcdnas.tables.load("dynconv-fmnist").frame()``

    Args:
        name: name of the benchmark, e.g. ``"nas-bench-macro"``.
        path: file to read instead of the benchmark's standard one.

    Raises:
        UnknownNameError: when there is no such benchmark.
        DataError: when the file is missing or damaged.
    """
    return tables[name](path)


__all__ = ["Curve", "Table", "load", "tables"]
