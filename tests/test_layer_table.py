"""The layer table and the ways to count it: to the unit, and as fvcore measures the whole network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dcdnas.architecture import Architecture, LayerChoice
from dcdnas.cost import measure, metrics, price
from dcdnas.errors import UsageError
from dcdnas.layers import Count, counted_as, layer_table
from dcdnas.networks import build_network, slots_of
from dcdnas.operators import operators
from dcdnas.published import architecture as published

BARE = Architecture("mobilenetv2", {"width": 0.25, "depth": 1}, {}, (3, 64, 64), 10)

PUBLISHED = [name for name, operator in operators.items() if vars(operator).get("PUBLISHED_FORM") is not None]


def of(operator: str) -> Architecture:
    """A small network with an operator in all places that take it."""
    layers = {}
    for slot in slots_of(BARE):
        g, cls = slot.geometry, operators[operator]
        if slot.kind == "conv" and (operator != "ddf" or (g.kernel_size > 1 and g.in_channels == g.out_channels)):
            settings = cls.resolve(g)
            layers[slot.name] = LayerChoice(operator, settings, cls.counted_form(g, settings))
    return replace(BARE, layers=layers)


@pytest.mark.parametrize("operator", ["dcd", "odconv", "dyconv"])
def test_the_layers_add_up_to_the_network_in_every_metric(operator: str) -> None:
    names = tuple(metrics)
    layers = layer_table(of(operator), names)
    whole = measure(build_network(of(operator)), names)
    assert {name: sum(layer.cost[name] for layer in layers) for name in names} == dict(whole.values)


@pytest.mark.parametrize("count", ["deploy", "training", "published"])
@pytest.mark.parametrize("operator", PUBLISHED)
def test_what_is_counted_is_what_fvcore_measures_in_that_form(operator: str, count: Count) -> None:
    counted = counted_as(of(operator), count)
    assert price(counted)["flops"] == measure(build_network(counted), ("flops",))["flops"]
    assert price(counted)["params"] == price(of(operator))["params"]


@pytest.mark.parametrize("count", ["training", "published"])
def test_no_form_costs_less_than_the_one_that_budgets_mean(count: Count) -> None:
    network = published("dcd/mobilenetv2_dcd")
    assert price(counted_as(network, count))["flops"] > price(network)["flops"]
    assert counted_as(network, "deploy") == network


@pytest.mark.parametrize(("kernels", "flops"), [(1, 312.8), (4, 321.6)])
def test_published_is_the_form_of_the_published_odconv(kernels: int, flops: float) -> None:
    network = published("odconv/od_mobilenetv2", n=kernels)
    assert round(price(counted_as(network, "published"))["flops"] / 1e6, 1) == flops


def test_an_operator_whose_published_form_is_unknown_is_refused() -> None:
    with pytest.raises(UsageError, match=r"published drconv .* Known: .*odconv"):
        counted_as(of("drconv"), "published")
    assert price(counted_as(of("drconv"), "training"))["flops"] > price(of("drconv"))["flops"]
