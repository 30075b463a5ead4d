"""Tabular benchmarks: results of networks that others have trained, one benchmark a file; the folder is the table of its entries.

A search on a table takes seconds, since every training is looked up. An entry is named as the space of all its networks.
"""

from pathlib import Path

from dcdnas.core.catalogue import Catalogue
from dcdnas.tables._base import Curve, Table

tables: Catalogue[type[Table]] = Catalogue("tables", "table", listed="")


def load(name: str, path: str | Path | None = None) -> Table:
    """Reads the table of a benchmark.

    Example: ``dcdnas.tables.load("dynconv-fmnist").frame()``

    Args:
        name: of the benchmark, e.g. ``"nas-bench-macro"``.
        path: of a file other than the benchmark's own.

    Raises:
        UnknownNameError: when there is no such benchmark.
        DataError: when the file is missing or damaged.
    """
    return tables[name](path)


__all__ = ["Curve", "Table", "load", "tables"]
