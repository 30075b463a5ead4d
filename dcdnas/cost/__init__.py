"""Cost metrics, one a file, and the price of an architecture before it is built."""

from __future__ import annotations

from dcdnas.catalogue import Catalogue
from dcdnas.cost._base import Metric
from dcdnas.cost._price import measure, price

metrics: Catalogue[Metric] = Catalogue("cost", "cost metric")

__all__ = ["Metric", "measure", "metrics", "price"]
