"""Cost metrics, one a file, and the price of an architecture before it is built."""

from dcdnas.cost._base import Metric, metrics
from dcdnas.cost._handles import UncountedOperation
from dcdnas.cost._price import measure, price, slot_price, verified

__all__ = ["Metric", "UncountedOperation", "measure", "metrics", "price", "slot_price", "verified"]
