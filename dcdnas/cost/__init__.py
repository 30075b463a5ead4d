"""Cost metrics, one per file, and the price of an architecture before it is built."""

from dcdnas.core.breakdown import Breakdown, Layer, Parts
from dcdnas.core.plugins import Place, accept
from dcdnas.core.units import ALWAYS, register
from dcdnas.cost._base import Metric, additive_metrics, exact_metrics, metrics, notations
from dcdnas.cost._count import count
from dcdnas.cost._layers import Count, breakdown, counted_as, layer_table
from dcdnas.cost._operations import UncountedOperation
from dcdnas.cost._parts import slot_parts
from dcdnas.cost._price import CATALOGUE, Prices, measure, price, slot_price, verified, with_always
from dcdnas.cost._rules import check as _check

__all__ = [
    "ALWAYS", "CATALOGUE", "Breakdown", "Count", "Layer", "Metric", "Parts", "Prices", "UncountedOperation",
    "additive_metrics", "breakdown", "count", "counted_as", "exact_metrics", "layer_table", "measure", "metrics", "notations",
    "price", "slot_parts", "slot_price", "verified", "with_always",
]  # fmt: skip

accept(Place(metrics, Metric, "cost metric", made=True, rules=_check))

for _notation in notations().values():
    register(_notation)
