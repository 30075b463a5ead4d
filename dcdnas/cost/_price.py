"""The price of an architecture: a sum over its slots, each measured once and remembered.

A network's multiply-adds and parameters are the sums of its slots', so one measurement of each (geometry, operator,
settings) prices any architecture of a space in microseconds, exactly as measuring the whole network would.
"""

from __future__ import annotations

from functools import lru_cache

from dcdnas.architecture import Architecture, LayerChoice
from dcdnas.catalogue import Catalogue
from dcdnas.cost._base import Metric
from dcdnas.networks import Network, Slot, make, slots_of
from dcdnas.networks._base import STATIC
from dcdnas.records import Cost

_METRICS: Catalogue[Metric] = Catalogue("cost", "cost metric")


def price(architecture: Architecture, names: tuple[str, ...] = ("flops", "params")) -> Cost:
    """What the architecture costs at deployment, by table.

    Args:
        architecture: need not be built.
        names: additive metrics.

    Raises:
        GeometryError: when an operator cannot fill its slot.
    """
    totals = dict.fromkeys(names, 0)
    for slot in slots_of(architecture):
        choice = architecture.layers.get(slot.name, STATIC)
        for name, value in zip(names, slot_price(slot, choice, names), strict=True):
            totals[name] += value
    return Cost(totals)


def measure(network: Network, names: tuple[str, ...] = ("flops", "params")) -> Cost:
    """What a built network costs, measured as a whole."""
    return Cost({name: _METRICS[name].measure(network, network.architecture.input) for name in names})


def slot_price(slot: Slot, choice: LayerChoice, names: tuple[str, ...]) -> tuple[int, ...]:
    anonymous = Slot(slot.kind, slot.geometry, slot.kind)
    return tuple(_measured(name, anonymous, choice) for name in names)


@lru_cache(maxsize=None)
def _measured(name: str, slot: Slot, choice: LayerChoice) -> int:
    g = slot.geometry
    shape = (g.in_channels,) if slot.kind == "linear" else (g.in_channels, g.height, g.width)
    return _METRICS[name].measure(make(slot, choice).eval(), shape)
