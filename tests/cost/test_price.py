"""The price by table is the measured cost of the whole network, for every backbone and operator there is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from counting import executed
from energy import energy_known
from pairs import FEW, each_network_with_each_operator
from thoroughness import in_turn, slow_but
from work import calls

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.dimension import Choice, Dimension, dimensions
from dcdnas.core.geometry import ConvGeometry, Cost, Setting
from dcdnas.core.units import Notation, plain
from dcdnas.cost import _price, exact_metrics, measure, metrics, price, slot_price, verified
from dcdnas.cost._price import measured_slot
from dcdnas.errors import GeometryError, MismatchError, UnknownNameError, UsageError
from dcdnas.networks import Slot, build_network, networks, slots_of
from dcdnas.operators import operators

NAMES = ("flops", "params")
SHALLOW = {"channels": (8, 16, 16), "strides": (1, 2, 1), "depth": 2, "width": 0.5}
"""Settings of a MobileNetV2 of six blocks."""
SEEDS = (0, pytest.param(1, marks=pytest.mark.slow))
VALUES: tuple[Any, ...] = (1, 2, 3, 4, 5, 6, 8, 0.25, 0.5, 0.75, 1.5, True, False)


def allowed(dimension: Dimension, most: float = 8) -> Iterator[Setting]:
    """Some values that the dimension takes, none so large that the network is slow to run."""
    for value in (*dimension.choice.words, *VALUES):
        try:
            dimension.check(value)
        except UsageError:
            continue
        if isinstance(value, str) or value <= most:
            yield value


def any_choice(slot: Slot, rng: random.Random, name: str = "") -> LayerChoice:
    """Any operator with any settings that the slot takes, resolved."""
    for _ in range(20):
        operator = name or rng.choice(list(operators))
        cls = operators[operator]
        settings = {n: rng.choice([d.default, *allowed(d)]) for n, d in dimensions(cls).items() if rng.random() < 0.5}
        try:
            resolved = cls.resolve(slot.geometry, **settings)
        except GeometryError:
            continue
        return LayerChoice(operator, resolved, cls.counted_form(slot.geometry, resolved))
    return LayerChoice()


MOST = {"depth": 2, "width": 0.25, "hamburger_rank": 1, "hamburger_steps": 2}
"""Of settings that would make a network slow, or that the smallest maps do not have."""


def any_settings(network: str, rng: random.Random) -> dict[str, Any]:
    """Random values for a backbone's search dimensions."""
    found, contexts = {}, random.Random(rng.getstate()[1][0])
    for name, dimension in dimensions(networks[network]).items():
        drawn = contexts if name.startswith("hamburger") else rng
        options = list(allowed(dimension, MOST.get(name, 5)))
        if options and (name in ("width", "depth") or drawn.random() < 0.8):
            found[name] = drawn.choice(options)
    return found


def any_architecture(network: str, seed: int, operator: str = "") -> Architecture:
    """A random small architecture of a backbone; slots may be left to the static convolution."""
    rng = random.Random(f"{network} {seed} {operator}")
    shape = (3, rng.choice([31, 32, 40]), rng.choice([32, 48]))
    for _ in range(100):
        settings = networks[network].complete(any_settings(network, rng))
        bare = Architecture(network, settings, {}, shape, 10)
        layers = {
            s.name: any_choice(s, rng, operator)
            for s in slots_of(bare)
            if s.kind == "conv" and rng.random() < (0.3 if operator else 0.7)
        }
        if price(bare, ("params",))["params"] < 500_000 and operator in {"", *(c.operator for c in layers.values())}:
            return replace(bare, layers=layers)
    raise AssertionError(f"{operator} fits no slot of {network}")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("network", slow_but(["resnet"], networks))
def test_a_random_architecture_is_priced_as_it_is_measured_whole(network: str, seed: int) -> None:
    architecture = any_architecture(network, seed)
    whole = build_network(architecture)
    cost = price(architecture)
    assert dict(cost.values) == dict(measure(whole).values)
    assert cost["flops"] == executed(whole, architecture.input)
    assert cost["params"] == sum(p.numel() for p in whole.parameters())


@each_network_with_each_operator(FEW)
def test_a_network_of_one_operator_is_priced_as_it_is_measured_whole(network: str, operator: str) -> None:
    architecture = any_architecture(network, 0, operator)
    assert dict(price(architecture).values) == dict(measure(build_network(architecture)).values)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 125))
@pytest.mark.parametrize("network", networks)
def test_many_random_architectures_are_priced_as_they_are_measured_whole(network: str, seed: int) -> None:
    test_a_random_architecture_is_priced_as_it_is_measured_whole(network, seed)


@pytest.mark.parametrize("network", networks)
def test_every_slot_is_a_module_of_the_network_with_the_map_that_its_geometry_says(network: str) -> None:
    architecture = any_architecture(network, 1)
    whole, maps = build_network(architecture).eval(), {}
    for slot in slots_of(architecture):
        whole.get_submodule(slot.name).register_forward_pre_hook(lambda m, x, name=slot.name: maps.update({name: x[0].shape}))
    whole(torch.zeros(1, *architecture.input))
    for slot in slots_of(architecture):
        assert tuple(maps[slot.name])[1:] == slot.input


def test_mobilenetv2_costs_what_its_paper_says() -> None:
    """Table 4 of arXiv:1801.04381: 300M multiply-adds, 3.4M parameters; exactly 3,504,872 in every public implementation."""
    cost = price(Architecture("mobilenetv2", {}, {}, (3, 224, 224), 1000))
    assert cost["params"] == 3_504_872
    assert cost["flops"] == 300_774_272
    assert round(cost["flops"], -8) == 300e6


def test_a_price_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = any_architecture("mobilenetv2", 2)
    known = price(architecture)
    monkeypatch.setattr(_price, "metrics", None)
    assert price(architecture) == known


def test_slots_of_one_geometry_are_priced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = metrics["flops"]
    counting = replace(original, of_slot=lambda slot, choice: asked.append(slot) or original.of_slot(slot, choice))
    monkeypatch.setattr(_price, "metrics", {"flops": counting, "params": metrics["params"]})
    geometry = ConvGeometry(7, 13, 3, height=11, width=5)
    prices = {slot_price(Slot(n, geometry, activation=a), LayerChoice(), NAMES) for n, a in (("a.b.c", "relu"), ("d", "relu"))}
    assert prices == {(7 * 13 * 9 * 55, 7 * 13 * 9 + 2 * 13)}
    assert len(asked) == 1


@pytest.mark.parametrize(("operator", "name"), in_turn(operators, NAMES))
def test_a_slot_is_priced_as_its_module_is_measured(operator: str, name: str) -> None:
    rng, used = random.Random(operator), set[str]()
    for geometry in (ConvGeometry(12, 12, 3, 2, 12, height=9, width=7), ConvGeometry(8, 8, 3, height=6, width=6)):
        slot = Slot("s", geometry)
        for _ in range(3):
            choice = any_choice(slot, rng, operator)
            used.add(choice.operator)
            assert slot_price(slot, choice, (name,)) == (measured_slot(slot, choice, name),)
    assert operator in used


def test_an_operator_without_a_closed_form_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> int:
        raise NotImplementedError

    monkeypatch.setattr(operators["static"], "multiply_adds", unknown)
    slot = Slot("s", ConvGeometry(5, 19, 3, height=4, width=3))
    assert metrics["flops"].of_slot(slot, LayerChoice()) is None
    assert slot_price(slot, LayerChoice(), NAMES) == (5 * 19 * 9 * 12, 5 * 19 * 9 + 2 * 19)


def test_an_operator_whose_start_looks_at_its_numbers_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    original = operators["static"].__init__

    def looking(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        assert float(self.weight.std()) > 0

    monkeypatch.setattr(operators["static"], "__init__", looking)
    slot = Slot("s", ConvGeometry(5, 23, 3, height=4, width=3))
    assert slot_price(slot, LayerChoice(), ("params",)) == (5 * 23 * 9 + 2 * 23,)


def test_a_form_that_the_operator_does_not_have_is_an_error() -> None:
    with pytest.raises(GeometryError, match="has no form 'magic'"):
        slot_price(Slot("s", ConvGeometry(8, 8, 3, height=4, width=4)), LayerChoice("dcd", form="magic"), NAMES)


def test_pricing_uses_up_no_random_number() -> None:
    before = torch.get_rng_state()
    slot_price(Slot("x", ConvGeometry(5, 17, 3, height=3, width=3)), LayerChoice(), NAMES)
    assert torch.equal(torch.get_rng_state(), before)


def test_metrics_come_in_the_order_they_were_asked_for() -> None:
    architecture = any_architecture("mobilenetv2", 3)
    both, turned = price(architecture), price(architecture, ("params", "flops"))
    assert dict(both.values) == dict(turned.values)
    assert list(turned.values) == ["params", "flops"]
    assert dict(price(architecture, ("params",)).values) == {"params": both["params"]}


def test_an_operator_that_cannot_fill_its_slot_is_an_error() -> None:
    architecture = Architecture("mobilenetv2", {}, {"stem": LayerChoice("static", {"heads": 3})}, (3, 32, 32), 10)
    with pytest.raises(GeometryError, match="no setting 'heads'"):
        price(architecture)


def test_an_unknown_metric_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown cost metric 'flop'\. Did you mean 'flops'"):
        price(Architecture("mobilenetv2", {}, {}, (3, 32, 32), 10), ("flop",))


def test_the_price_of_known_slots_is_a_few_calls_a_slot() -> None:
    architecture = any_architecture("mobilenetv2", 0)
    price(architecture)
    again = Architecture.from_dict(architecture.to_dict())
    assert calls(lambda: price(again)) <= 6 * len(slots_of(architecture))


@pytest.mark.parametrize("name", metrics)
def test_every_metric_says_its_unit_and_measures_a_convolution(name: str) -> None:
    metric = metrics[name]
    assert metric.name == name
    assert metric.unit
    assert metric.measure(torch.nn.Conv2d(3, 4, 3), (3, 5, 5)) >= 0


def test_parameters_that_layers_share_count_once() -> None:
    layer = torch.nn.Linear(3, 3)
    assert metrics["params"].measure(torch.nn.Sequential(layer, layer), (3,)) == 12


def test_buffers_are_no_parameters() -> None:
    assert metrics["params"].measure(torch.nn.BatchNorm2d(4), (4, 1, 1)) == 8


def test_the_toy_dimension_helper_respects_bounds() -> None:
    assert set(allowed(Dimension("x", (int,), Choice(at_least=2, at_most=4), 2))) == {2, 3, 4}


def test_a_verified_price_is_the_measured_one() -> None:
    architecture = Architecture("mobilenetv2", SHALLOW, {"stage3.block2.expand": LayerChoice("dcd")}, (1, 28, 28), 10)
    names = exact_metrics()
    assert dict(verified(architecture, names).values) == dict(price(architecture, names).values)


def test_a_prediction_is_neither_measured_nor_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(module: torch.nn.Module, shape: tuple[int, ...]) -> float:
        raise AssertionError("it is measured")

    guess = replace(
        metrics["flops"], notation=Notation("guess", "Guess", plain()), measure=measured, of_network=lambda a: 2.5, exact=False
    )
    monkeypatch.setitem(metrics._loaded, "guess", guess)
    monkeypatch.setattr(metrics, "_added", {"guess"})
    architecture = Architecture("mobilenetv2", SHALLOW, {}, (1, 28, 28), 10)
    assert dict(verified(architecture, ("guess", "params")).values) == {"params": price(architecture)["params"]}


@pytest.mark.parametrize("off", [-1, 1], ids=["understated", "overstated"])
@pytest.mark.parametrize("name", NAMES)
def test_a_price_that_is_not_what_is_measured_is_caught(monkeypatch: pytest.MonkeyPatch, name: str, off: int) -> None:
    architecture = Architecture("mobilenetv2", SHALLOW, {"stage2.block1.expand": LayerChoice("odconv")}, (1, 27, 27), 7)
    right = price(architecture)[name]
    monkeypatch.setattr(_price, "price", lambda a, names: Cost({**price(a, names).values, name: right + off}))
    with pytest.raises(
        MismatchError, match=f"measured cost: {name} {right + off:.0f} by table, {right:.0f} measured. The closed form"
    ):
        verified(architecture)


@pytest.mark.parametrize("share", slow_but([1e-6], [-1e-6, 1e-6]))
def test_a_price_in_fractions_is_held_to_what_rounding_explains(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    network = Architecture("mobilenetv2", {"width": 0.25}, {}, (1, 20, 20), 5)
    with energy_known():
        right = verified(network, ("energy",))["energy"]
        monkeypatch.setattr(_price, "price", lambda a, names: Cost({"energy": right * (1 + share)}))
        with pytest.raises(MismatchError, match="differs from its measured cost: energy"):
            verified(network, ("energy",))


@pytest.mark.parametrize("off", [-1, 1], ids=["understated", "overstated"])
def test_an_operator_that_states_its_multiply_adds_wrongly_is_named(monkeypatch: pytest.MonkeyPatch, off: int) -> None:
    stated = operators["odconv"].multiply_adds
    monkeypatch.setattr(operators["odconv"], "multiply_adds", lambda *place: stated(*place) + off)
    architecture = Architecture("mobilenetv2", SHALLOW, {"stage2.block1.expand": LayerChoice("odconv")}, (1, 26, 23), 7)
    with pytest.raises(MismatchError, match=r"one of its operators \(odconv\) or of the metric is wrong"):
        verified(architecture)
