"""Tabular benchmarks: results of networks that others have trained, one benchmark a file; the folder is the table of its entries.

A search on a table takes seconds, since every training is looked up. An entry is named as the network whose settings it knows.
"""

from dcdnas.core.catalogue import Catalogue
from dcdnas.tables._base import Table

tables: Catalogue[type[Table]] = Catalogue("tables", "table", listed="")

__all__ = ["Table", "tables"]
