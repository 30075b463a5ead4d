"""The memory of a sample's own kernels, of whole networks: by price as it is measured."""

from __future__ import annotations

import random

import pytest
import torch
from test_price import any_architecture, any_choice
from thoroughness import slow_but

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost import measure, metrics, price
from dcdnas.networks import STATIC, Slot, build_network, networks, slots_of
from dcdnas.operators import operators
from dcdnas.published import architecture as published

KERNEL_MEMORY = metrics["kernel-memory"]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("network", slow_but(["resnet"], networks))
def test_the_price_of_a_network_is_that_of_its_layer_with_the_most(network: str, seed: int) -> None:
    architecture = any_architecture(network, seed)
    priced = price(architecture, ("kernel-memory",))["kernel-memory"]
    assert priced == measure(build_network(architecture), ("kernel-memory",))["kernel-memory"]
    assert KERNEL_MEMORY.peaks is not None
    assert priced == max(KERNEL_MEMORY.peaks(architecture))


@pytest.mark.slow
def test_layers_that_take_their_blocks_guide_have_the_same_kernels() -> None:
    architecture = published("condconv/cond_mobilenetv2", width=0.25)
    assert any(choice.guide_channels for choice in architecture.layers.values())
    priced = price(architecture, ("kernel-memory",))["kernel-memory"]
    assert priced == measure(build_network(architecture), ("kernel-memory",))["kernel-memory"] > 0


def test_a_network_without_dynamic_layers_has_none() -> None:
    architecture = Architecture("mobilenetv2", {"width": 0.25, "se": 0.25}, {}, (3, 32, 32), 10)
    assert price(architecture, ("kernel-memory", "flops"))["kernel-memory"] == 0
    assert KERNEL_MEMORY.measure(build_network(architecture), architecture.input) == 0
    assert KERNEL_MEMORY.of_slot is not None
    assert [KERNEL_MEMORY.of_slot(slot, STATIC) for slot in slots_of(architecture)] == [0] * len(slots_of(architecture))


def test_half_precision_takes_half_of_it() -> None:
    layer = operators["odconv"](8, 16, 3, padding=1, num_kernels=4)
    assert KERNEL_MEMORY.measure(layer, (8, 5, 5)) == 4 * 8 * 16 * 9
    assert KERNEL_MEMORY.measure(layer.half(), (8, 5, 5)) == 2 * 8 * 16 * 9


def test_a_measurement_leaves_the_module_as_it_was() -> None:
    layer = operators["dyconv"](8, 16, 3).train()
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    KERNEL_MEMORY.measure(layer, (8, 5, 5))
    assert layer.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in layer.state_dict().items())


def test_an_operator_that_looks_at_its_numbers_is_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    original = operators["dyconv"].forward
    monkeypatch.setattr(operators["dyconv"], "forward", lambda self, x: original(self, x * float(x.sum() >= 0)))
    slot = slots_of(Architecture("mobilenetv2", {"width": 0.1}, {}, (3, 20, 20), 10))[3]
    choice = any_choice(Slot(slot.name, slot.geometry), random.Random(0), "dyconv")
    g = slot.geometry
    aggregated = LayerChoice("dyconv", choice.settings, "aggregate")
    assert KERNEL_MEMORY.of_slot(slot, aggregated) == 4 * g.out_channels * g.in_channels // g.groups * g.kernel_size**2
