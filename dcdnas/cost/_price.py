"""The price of an architecture: for most metrics a sum over its slots, each priced once and remembered.

A network's multiply-adds and parameters are the sums of its slots'. A slot's price is arithmetic where the operator says its
multiply-adds in closed form, and a measurement elsewhere; tests hold it equal to what fvcore measures, slot by slot and for
whole networks. So any architecture of a space is priced in microseconds, exactly as measuring the whole network would. A metric
that is no such sum prices the network itself (`Metric.of_network`).
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
"""What each operator that was asked for costs at one place."""


class Prices:
    """What networks are priced by: the metrics of the catalogue, some of them bound to what a caller has.

    A prediction needs more than the network: latency is read from a table of one device (`dcdnas.cost.latency.prices_by`). Who
    prices holds this value and hands it on, so that several searches of a process each have a table of their own.

    Args:
        bound: metrics in place of those of the same names in the catalogue.
    """

    def __init__(self, *bound: Metric) -> None:
        self._bound = {metric.name: metric for metric in bound}
        self.places = lru_cache(maxsize=1024)(self._places)
        self._rows = lru_cache(maxsize=65_536)(lambda slot, names: self._rows_at(unnamed(slot), names))
        self._rows_at = lru_cache(maxsize=None)(_no_rows)
        self._predicted = lru_cache(maxsize=None)(self._of_slot)

    def metric(self, name: str) -> Metric:
        """A metric by name."""
        return self._bound.get(name) or metrics[name]

    def slot(self, name: str, place: Slot, choice: LayerChoice) -> float:
        """What an operator costs at a place by one metric; found when first asked for."""
        return self._predicted(name, place, choice) if name in self._bound else _known(name, place, choice)

    def _of_slot(self, name: str, place: Slot, choice: LayerChoice) -> float:
        value = self._bound[name].of_slot(place, choice)
        assert value is not None  # what is bound says it without a measurement
        return value

    def _places(
        self,
        cls: type[Network],
        settings: tuple[tuple[str, NetworkSetting], ...],
        input: Shape,
        classes: int,
        names: tuple[str, ...],
    ) -> tuple[tuple[str, Slot, Rows], ...]:
        """A network's slots with what is known of the prices there; equal geometries share one dictionary."""
        slots = cls.slots(input, classes, cls.complete(dict(settings)))
        return tuple([(slot.name, slot, self._rows(slot, names)) for slot in slots])


def _no_rows(place: Slot, names: tuple[str, ...]) -> Rows:
    return {}


@cache
def _known(name: str, place: Slot, choice: LayerChoice) -> float:
    """The price by a metric of the catalogue."""
    value = metrics[name].of_slot(place, choice)
    if value is not None:
        return value
    if name in metrics.added:  # whoever changes a metric of their own must not find the old one's values on disk
        return measured_slot(place, choice, name)
    return kept(name, place, choice, lambda: measured_slot(place, choice, name))


CATALOGUE = Prices()
"""Nothing is bound: exact prices, and no predictions."""


def price(architecture: Architecture, names: tuple[str, ...] = ALWAYS, prices: Prices = CATALOGUE) -> Cost:
    """What the architecture costs at deployment, by table where the metric is a sum over the slots.

    Args:
        architecture: need not be built.
        names: metrics.
        prices: what to price by, where a prediction is among them.

    Raises:
        GeometryError: when an operator cannot fill its slot.
        UsageError: for a prediction that `prices` has not bound.
    """
    sums, whole = _kinds(names)
    if not whole:
        return _by_table(architecture, names, prices)
    values = {name: _of_network(name, architecture, prices) for name in whole}
    if sums:
        values.update(_by_table(architecture, sums, prices).values)
    return Cost({name: values[name] for name in names})


def slot_prices(architecture: Architecture, names: tuple[str, ...], prices: Prices = CATALOGUE) -> list[tuple[float, ...]]:
    """What each slot of an architecture costs, metric by metric, in the order of computation."""
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
    """`ALWAYS`, then the others of `names`: what a price must hold for budgets and objectives on these metrics."""
    return tuple(dict.fromkeys([*ALWAYS, *names]))


def measure(network: Network, names: tuple[str, ...] = ALWAYS) -> Cost:
    """What a built network costs, measured as a whole."""
    return Cost({name: metrics[name].measure(network, network.architecture.input) for name in names})


def verified(architecture: Architecture, names: tuple[str, ...] = ()) -> Cost:
    """The exact prices of an architecture, after the whole network was built and has measured the same.

    Args:
        architecture: to be built.
        names: metrics, of which predictions (`Metric.exact`) are left out; all sums over the slots when empty.

    Raises:
        MismatchError: when they differ: an operator's closed form is wrong.
    """
    names = tuple(name for name in names or additive_metrics() if metrics[name].exact)
    priced = price(architecture, names)
    with torch.random.fork_rng(devices=()):  # as in `measured_slot`
        measured = measure(build_network(architecture), names)
    wrong = [
        f"{name} {priced[name]:.15g} by table, {measured[name]:.15g} measured"
        for name in names
        if not _equal(name, priced, measured)
    ]
    if wrong:
        used = ", ".join(sorted({choice.operator for choice in architecture.layers.values()}))
        raise MismatchError(
            f"the price of a network is not what it costs: {'; '.join(wrong)}. One of its operators ({used}) states its "
            "multiply-adds wrongly; `tests/operators` shows which."
        )
    return priced


def _equal(name: str, priced: Cost, measured: Cost) -> bool:
    """Whether both are the same: to the unit of what is whole, else but for the rounding of sums."""
    if metrics[name].notation.number == "int":
        return priced[name] == measured[name]
    return math.isclose(priced[name], measured[name], rel_tol=1e-9)


def slot_price(slot: Slot, choice: LayerChoice, names: tuple[str, ...], prices: Prices = CATALOGUE) -> tuple[float, ...]:
    """What one slot costs with an operator, metric by metric; found when first asked for."""
    place = unnamed(slot)
    return tuple(prices.slot(name, place, choice) for name in names)


def measured_slot(slot: Slot, choice: LayerChoice, name: str) -> float:
    """One metric of a slot's module, built and measured; slow, and what `slot_price` must equal."""
    with torch.random.fork_rng(devices=()):  # the throw-away weights must not shift anyone's random numbers
        module = make(slot, choice)
    metric = metrics[name]
    return metric.notation.value(metric.measure(module, slot.input))
