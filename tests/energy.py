"""A cost metric from outside the package with fractional values: joules, with a few nanojoules per multiply-add."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from dcdnas.core import units
from dcdnas.core.architecture import LayerChoice
from dcdnas.core.units import Notation, Scale
from dcdnas.cost import CATALOGUE, Metric, _price, metrics
from dcdnas.networks import Slot
from dcdnas.space.frame import place_costs

JOULES = Scale(((1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ")), {"": 1.0}, cased=True)

NOTATION = Notation("energy", "Energy", JOULES, number="float")

EACH = 3.1e-9
"""Joules per multiply-add."""


def joules(module: nn.Module, shape: tuple[int, ...]) -> float:
    """Joules of a module's forward pass."""
    return EACH * metrics["flops"].measure(module, shape)


def slot_joules(slot: Slot, choice: LayerChoice) -> float | None:
    """Joules of a slot; None where the number of multiply-adds is unknown."""
    found = metrics["flops"].of_slot(slot, choice)
    return None if found is None else EACH * found


ENERGY = Metric(NOTATION, "joules of a forward pass", joules, of_slot=slot_joules)


def forget_prices() -> None:
    """Clears all caches of prices, which may hold those of another test's metric with this name."""
    for memory in (_price._kinds, _price._known, CATALOGUE.places, CATALOGUE._rows, CATALOGUE._rows_at, place_costs):
        memory.cache_clear()


@contextmanager
def energy_known(metric: Metric = ENERGY) -> Iterator[Metric]:
    """Registers the metric within the block."""
    metrics.add("energy", metric)
    forget_prices()
    try:
        yield metric
    finally:
        forget_prices()
        metrics._added.discard("energy")
        metrics._loaded.pop("energy", None)
        units._KNOWN.pop("energy", None)
