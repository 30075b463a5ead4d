"""The layer table and the ways to count it: to the unit, and as fvcore measures the whole network."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from energy import ENERGY, energy_known

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost import Parts, exact_metrics, measure, price
from dcdnas.cost._layers import Count, breakdown, counted_as, layer_table
from dcdnas.errors import GeometryError, MismatchError, UsageError
from dcdnas.networks import build_network, slots_of
from dcdnas.operators import operators
from dcdnas.published import architecture as published

BARE = Architecture("mobilenetv2", {"width": 0.25, "depth": 1, "channels": (16, 32), "strides": (1, 2)}, {}, (3, 32, 32), 10)

PUBLISHED = [name for name, operator in operators.items() if vars(operator).get("PUBLISHED_FORM") is not None]


def of(operator: str) -> Architecture:
    """A small network with an operator in all places that take it."""
    layers = {}
    for slot in slots_of(BARE):
        g, cls = slot.geometry, operators[operator]
        with suppress(GeometryError):
            if slot.kind == "conv":
                settings = cls.resolve(g)
                layers[slot.name] = LayerChoice(operator, settings, cls.counted_form(g, settings))
    assert layers
    return replace(BARE, layers=layers)


@pytest.mark.slow
@pytest.mark.parametrize("count", ["deploy", "training", "published"])
@pytest.mark.parametrize("operator", PUBLISHED)
def test_what_is_counted_is_what_fvcore_measures_in_that_form(operator: str, count: Count) -> None:
    counted = counted_as(of(operator), count)
    assert price(counted)["flops"] == measure(build_network(counted), ("flops",))["flops"]
    assert price(counted)["params"] == price(of(operator))["params"]


def test_the_layers_that_a_config_names_are_the_searched_ones() -> None:
    network = of("ddf")
    searched = {layer.slot.name for layer in layer_table(network) if layer.searched}
    assert searched == set(network.layers)
    assert searched < {slot.name for slot in slots_of(network)}


def test_layers_may_add_up_to_the_network_except_for_the_rounding_of_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.12 on, `sum` rounds a sum of fractions once, as `math.fsum` does, and not after each addition."""
    network = of("dcd")
    monkeypatch.setattr("dcdnas.cost._price.sum", math.fsum, raising=False)
    with energy_known(replace(ENERGY, of_slot=lambda slot, choice: 0.1)):
        table = layer_table(network, ("flops", "energy"))
        whole, added = price(network, ("flops", "energy"))["energy"], 0.0
        for layer in table:
            added += layer.cost["energy"]
    assert added != whole
    assert added == pytest.approx(whole, rel=1e-12)


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


def test_a_layer_says_its_choice_with_all_settings_and_what_is_notable_with_those_that_are_not_usual() -> None:
    settings = operators["odconv"].resolve(slots_of(BARE)[1].geometry, num_kernels=2)
    layers = {slot.name: LayerChoice("odconv", settings) for slot in slots_of(BARE)[1:2]}
    static, dynamic = layer_table(replace(BARE, layers=layers))[:2]
    assert (str(static.choice), static.notable) == ("static", "static")
    assert str(dynamic.choice) == f"odconv({', '.join(f'{name}={settings[name]}' for name in sorted(settings))})"
    assert dynamic.notable == "odconv(num_kernels=2)"


def test_layers_that_do_not_add_up_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcdnas.cost._layers.slot_parts", lambda slot, choice: Parts(1))
    with pytest.raises(MismatchError, match="the layers' costs add up to"):
        layer_table(BARE)


def test_the_other_forms_of_a_layer_differ_in_the_dynamic_part_alone() -> None:
    network = published("dcd/mobilenetv2_dcd")
    deploy, training = (layer_table(counted_as(network, count)) for count in ("deploy", "training"))
    assert [(x.parts.convolution, x.parts.controller) for x in deploy] == [
        (x.parts.convolution, x.parts.controller) for x in training
    ]
    assert sum(x.parts.convolution for x in deploy) == price(published("odconv/base_mobilenetv2"))["flops"]


def test_a_breakdown_adds_up_by_layer_by_part_and_by_operator() -> None:
    found = breakdown(of("dcd"))
    assert set(found.cost.values) == set(exact_metrics())
    assert found.parts.whole == found.cost["flops"]
    for metric in ("flops", "params"):
        assert sum(sums[metric] for sums in found.by_operator.values()) == found.cost[metric]
    assert found.by_operator["dcd"]["layers"] == len(of("dcd").layers)
    assert found.by_operator["linear"] == {"layers": 1, "flops": 1280 * 10, "params": 1280 * 10 + 10}


def test_the_last_layer_of_a_block_that_adds_its_input_is_marked() -> None:
    def marked(network: str, **settings: Any) -> set[str]:
        plain = {"channels": (8, 16), "depth": (1, 2), "strides": (1, 2), "stem_channels": 8}
        return {
            layer.name
            for layer in layer_table(Architecture(network, {**plain, **settings}, {}, (3, 24, 24), 5))
            if layer.residual
        }

    assert marked("mobilenetv2", expansion=2) == {"stage1.block1.project", "stage2.block2.project"}
    assert marked("mobilenetv2", expansion=2, stem_channels=16) == {"stage2.block2.project"}
    assert marked("resnet", block="basic") == {f"{block}.conv2" for block in ("stage1.block1", "stage2.block1", "stage2.block2")}
    assert marked("shufflenetv2") == set()
