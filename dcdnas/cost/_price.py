"""The price of an architecture: for most metrics a sum over its slots, each of which is priced once and cached.

A network's multiply-adds and parameters are the sums over its slots. A slot's price is computed in closed form where the operator
provides one for its multiply-adds, and measured elsewhere; tests verify that it equals what fvcore measures, slot by slot and for
whole networks. Therefore any architecture of a space is priced within microseconds, with the same result as measuring the whole
network. A metric that is not a sum over the slots prices the network itself (`Metric.of_network`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache, lru_cache

import torch

from dcdnas.core.architecture import Architecture, LayerChoice, NetworkSetting
from dcdnas.core.geometry import Cost
from dcdnas.core.units import ALWAYS
from dcdnas.cost._base import Metric, additive_metrics, metrics
from dcdnas.cost._kept import kept
from dcdnas.errors import MismatchError
from dcdnas.networks import STATIC, Network, Shape, Slot, build_network, class_of, make, unnamed

Rows = dict[LayerChoice, tuple[float, ...]]
"""Costs of the choices that have been priced at one place."""


class Prices:
    """Prices of slots and networks: the metrics of the catalogue, some of them bound to data of the caller.

    A prediction needs more than the network: latency is read from a table of one device (`dcdnas.cost.latency.prices_by`).
    Callers keep this object and pass it on, so that several searches in one process can each have their own table.

    Args:
        bound: metrics that replace those of the same names in the catalogue.
    """

    def __init__(self, *bound: Metric) -> None:
        self._bound = {metric.name: metric for metric in bound}
        self.places = lru_cache(maxsize=1024)(self._places)
        self._rows = lru_cache(maxsize=65_536)(lambda slot, names: self._rows_at(unnamed(slot), names))
        self._rows_at = lru_cache(maxsize=None)(_no_rows)
        self._predicted = lru_cache(maxsize=None)(self._of_slot)

    def metric(self, name: str) -> Metric:
        """Returns a metric by name."""
        return self._bound.get(name) or metrics[name]

    def slot(self, name: str, place: Slot, choice: LayerChoice) -> float:
        """Returns the cost of an operator at a place in one metric; computed on first use."""
        return self._predicted(name, place, choice) if name in self._bound else _known(name, place, choice)

    def _of_slot(self, name: str, place: Slot, choice: LayerChoice) -> float:
        value = self._bound[name].of_slot(place, choice)
        assert value is not None  # a bound metric needs no measurement
        return value

    def _places(
        self,
        cls: type[Network],
        settings: tuple[tuple[str, NetworkSetting], ...],
        input: Shape,
        classes: int,
        names: tuple[str, ...],
    ) -> tuple[tuple[str, Slot, Rows], ...]:
        """Returns a network's slots with the prices known so far; equal geometries share one dictionary."""
        slots = cls.slots(input, classes, cls.complete(dict(settings)))
        return tuple([(slot.name, slot, self._rows(slot, names)) for slot in slots])


def _no_rows(place: Slot, names: tuple[str, ...]) -> Rows:
    return {}


@cache
def _known(name: str, place: Slot, choice: LayerChoice) -> float:
    """The price of a slot in a metric of the catalogue."""
    value = metrics[name].of_slot(place, choice)
    if value is not None:
        return value
    if name in metrics.added:  # not cached on disk: after changing such a metric, its author must not get the old values
        return measured_slot(place, choice, name)
    return kept(name, place, choice, lambda: measured_slot(place, choice, name))


CATALOGUE = Prices()
"""Prices with no bound metric: exact prices, and no predictions."""


def price(architecture: Architecture, names: tuple[str, ...] = ALWAYS, prices: Prices = CATALOGUE) -> Cost:
    """Returns the cost of the architecture at deployment, from the slots' prices if the metric is a sum over the slots.

    Args:
        architecture: that need not be built.
        names: of the metrics.
        prices: of the slots, in which predicted metrics are bound.

    Raises:
        GeometryError: when an operator does not support its slot.
        UsageError: for a prediction that is not bound in `prices`.
    """
    sums, whole = _kinds(names)
    if not whole:
        return _by_table(architecture, names, prices)
    values = {name: _of_network(name, architecture, prices) for name in whole}
    if sums:
        values.update(_by_table(architecture, sums, prices).values)
    return Cost({name: values[name] for name in names})


def slot_prices(architecture: Architecture, names: tuple[str, ...], prices: Prices = CATALOGUE) -> list[tuple[float, ...]]:
    """Returns the cost of each slot of an architecture, metric by metric, in the order of computation."""
    a = architecture
    rows = []
    for name, slot, known in prices.places(class_of(a), tuple(a.settings.items()), a.input, a.classes, names):
        choice = a.layers.get(name, STATIC)
        row = known.get(choice)
        if row is None:
            row = known[choice] = slot_price(slot, choice, names, prices)
        rows.append(row)
    return rows


def _by_table(architecture: Architecture, names: tuple[str, ...], prices: Prices) -> Cost:
    return Cost(dict(zip(names, map(sum, zip(*slot_prices(architecture, names, prices), strict=True)), strict=True)))


@cache
def _kinds(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The metrics that are sums over the slots, and those that are not."""
    return tuple(n for n in names if metrics[n].additive), tuple(n for n in names if not metrics[n].additive)


def _of_network(name: str, architecture: Architecture, prices: Prices) -> float:
    of_network = prices.metric(name).of_network
    assert of_network is not None
    return of_network(architecture)


def with_always(names: Iterable[str]) -> tuple[str, ...]:
    """Returns `ALWAYS`, then the others of `names`: the metrics that a price needs for budgets and objectives on `names`."""
    return tuple(dict.fromkeys([*ALWAYS, *names]))


def measure(network: Network, names: tuple[str, ...] = ALWAYS) -> Cost:
    """Measures the cost of a built network as a whole."""
    return Cost({name: metrics[name].measure(network, network.architecture.input) for name in names})


def verified(architecture: Architecture, names: tuple[str, ...] = ()) -> Cost:
    """Returns the exact prices of an architecture, after verifying them by building and measuring the whole network.

    Args:
        architecture: to be built.
        names: of metrics; predictions (see `Metric.exact`) are left out. All exact sums over the slots when empty.

    Raises:
        MismatchError: when prices and measurements differ, because an operator's closed form is wrong.
    """
    names = tuple(name for name in names or additive_metrics() if metrics[name].exact)
    priced = price(architecture, names)
    with torch.random.fork_rng(devices=()):  # as in `measured_slot`
        measured = measure(build_network(architecture), names)
    wrong = [
        f"{name} {priced[name]:.15g} by table, {measured[name]:.15g} measured"
        for name in names
        if not equal_in(name, priced, measured)
    ]
    if wrong:
        used = ", ".join(sorted({choice.operator for choice in architecture.layers.values()})) or "static"
        raise MismatchError(
            f"the price of a network differs from its measured cost: {'; '.join(wrong)}. The closed form of one of its "
            f"operators ({used}) or of the metric is wrong; `dcdnas.testing.check_operator` and `check_metric` show which."
        )
    return priced


def equal_in(name: str, priced: Cost, measured: Cost) -> bool:
    """Whether both values of a metric are equal: exactly for integers, else up to the rounding of sums."""
    if metrics[name].notation.number == "int":
        return priced[name] == measured[name]
    return math.isclose(priced[name], measured[name], rel_tol=1e-9)


def slot_price(slot: Slot, choice: LayerChoice, names: tuple[str, ...], prices: Prices = CATALOGUE) -> tuple[float, ...]:
    """Returns the cost of one slot with an operator, metric by metric; computed on first use."""
    place = unnamed(slot)
    return tuple(prices.slot(name, place, choice) for name in names)


def measured_slot(slot: Slot, choice: LayerChoice, name: str) -> float:
    """Builds the slot's module and measures one metric of it; slow, and `slot_price` must return the same."""
    with torch.random.fork_rng(devices=()):  # building these temporary weights must not advance the global random state
        module = make(slot, choice)
    metric = metrics[name]
    return metric.notation.value(metric.measure(module, slot.input))
