"""The contract of a cost metric; `check_metric` checks its notation, and its prices of small networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.budget import parse_budget
from dcdnas.core.plugins import require, rules_of
from dcdnas.core.units import Notation
from dcdnas.cost import Metric
from dcdnas.networks import STATIC, Slot, build_network, make, slots_of
from dcdnas.testing.network import with_operator
from dcdnas.testing.rules import kept

BARE = Architecture(
    "mobilenetv2",
    {"channels": (8, 16), "depth": 1, "strides": (1, 2), "stem_channels": 8, "head_channels": 16, "stem_stride": 1},
    {},
    (3, 12, 12),
    5,
)


def check_metric(metric: Metric) -> None:
    """Checks a cost metric by the rules that the package's own metrics keep.

    Args:
        metric: to be checked.

    Raises:
        ContractError: at the first broken rule, with what was found.
    """
    name = metric.name
    kept(f"{name}: the rules of a cost metric", partial(rules_of("cost metric"), name, metric))
    kept(f"{name}: Its values can be written and read", partial(notation_round_trip, metric.notation))
    with torch.random.fork_rng(devices=[]):
        for architecture in (BARE, with_operator(BARE, "odconv"), with_operator(BARE, "dcd")):
            what = next(iter({choice.operator for choice in architecture.layers.values()}), "static")
            for rule, check in RULES.items():
                kept(f"{name} of a network of {what} layers: {rule}", partial(check, metric, architecture))


def notation_round_trip(notation: Notation) -> None:
    """Its values can be written and read."""
    again = Notation.from_dict(notation.metric, notation.to_dict())
    require(again.to_dict() == notation.to_dict(), "from_dict(to_dict()) is another notation")
    for size, symbol in notation.scale.steps:
        text = f"{notation.metric} <= 3 {symbol}"
        found = parse_budget(text, {notation.metric: notation}).at_most
        require(math.isclose(found, 3 * size), f"{text!r} is read as {found} of the base unit, and one {symbol} is {size}")


def price_of(metric: Metric, architecture: Architecture) -> float:
    """Computes the price with nothing but the metric's own functions."""
    if metric.of_network is not None:
        return metric.of_network(architecture)
    return sum(_of_slot(metric, slot, architecture.layers.get(slot.name, STATIC)) for slot in slots_of(architecture))


def _of_slot(metric: Metric, slot: Slot, choice: LayerChoice) -> float:
    said = metric.of_slot(slot, choice)
    return metric.measure(make(slot, choice).eval(), slot.input) if said is None else said


def price_is_finite(metric: Metric, architecture: Architecture) -> None:
    """Its price is a finite number, 0 or more, of the type in its notation."""
    value = price_of(metric, architecture)
    require(math.isfinite(value) and value >= 0, f"it is {value}")
    whole = metric.notation.number == "float" or float(value).is_integer()
    require(whole, f"it is {value}, and the notation says whole numbers")


def price_is_measured(metric: Metric, architecture: Architecture) -> None:
    """Its price is what measure returns for the whole network, unless it is a prediction."""
    if metric.exact:
        priced, found = price_of(metric, architecture), metric.measure(build_network(architecture).eval(), architecture.input)
        require(math.isclose(priced, found, rel_tol=1e-9), f"it is priced at {priced} and measures {found}")


def floor_holds(metric: Metric, architecture: Architecture) -> None:
    """No network costs less than the floor of one of its choices."""
    if metric.floor is not None:
        value = price_of(metric, architecture)
        floors = [metric.floor(slot, architecture.layers.get(slot.name, STATIC)) for slot in slots_of(architecture)]
        require(max(floors) <= value * (1 + 1e-9), f"it is {value}, and a slot's floor is {max(floors)}")


RULES: dict[str, Callable[[Metric, Architecture], None]] = {
    (check.__doc__ or "").rstrip("."): check for check in (price_is_finite, price_is_measured, floor_holds)
}
"""The checks of each network, by their rules in words."""
