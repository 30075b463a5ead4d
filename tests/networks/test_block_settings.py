"""Squeeze-and-excitation and the activation: settings of every backbone, which change nothing where they are not used."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from backbones import NETWORKS, small
from torch import nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.slot import DYNAMIC_ACTIVATIONS
from dcdnas.core.yaml_lines import Document
from dcdnas.cost import measure, price
from dcdnas.errors import FileError, UsageError
from dcdnas.networks import build_network, for_proxy, networks, slots_of
from dcdnas.networks._activations import ACTIVATIONS, SEARCHED_ACTIVATIONS
from dcdnas.networks._excite import SqueezeExcite
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import draw, largest, smallest
from dcdnas.space.pricing.places import places_of
from dcdnas.space.reading.reader import Compiler


@pytest.mark.parametrize(
    ("name", "space_digest", "network_digest", "proxy_digest"),
    [
        ("fashion-quick", "f001c89bc814e505", "f050d5c983e97836", "f050d5c983e97836"),
        ("mobilenetv2-imagenet", "a850f962c51cbef9", "ed2e419f475993c0", "695ff05dbdb1b006"),
        ("resnet-imagenet", "ed175d1a0b21eacf", "08603fe49235f9be", "920a373957bb6ebf"),
    ],
)
def test_networks_without_them_keep_the_digests_that_they_had(
    name: str, space_digest: str, network_digest: str, proxy_digest: str
) -> None:
    space = load_space(name)
    architecture = space.architecture(draw(space, random.Random(7)))
    found = space.digest, architecture.digest, for_proxy(architecture, (1, 28, 28), 10).digest
    assert found == (space_digest, network_digest, proxy_digest)


def test_the_module_computes_what_the_paper_says() -> None:
    gate, x = SqueezeExcite(6, 2, hard=False).double(), torch.randn(3, 6, 4, 5, dtype=torch.double)
    squeezed = x.mean((2, 3)) @ gate.reduce.weight.T + gate.reduce.bias
    scale = 1 / (1 + (-(squeezed.clamp(min=0) @ gate.expand.weight.T + gate.expand.bias)).exp())
    torch.testing.assert_close(gate(x), torch.einsum("nchw,nc->nchw", x, scale))


def test_the_hard_gate_is_piecewise_linear() -> None:
    gate = SqueezeExcite(4, 2, hard=True)
    nn.init.zeros_(gate.expand.weight)
    gate.expand.bias.data = torch.tensor([-4.0, 0.0, 1.5, 4.0])
    assert gate(torch.ones(1, 4, 2, 2))[0, :, 0, 0].tolist() == [0.0, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("network", NETWORKS)
def test_each_block_pays_for_its_two_layers_and_its_product(network: str) -> None:
    without, with_ = price(small(network, se=0)), price(small(network, se=0.25))
    gates = [slot.geometry for slot in slots_of(small(network, se=0.25)) if slot.kind == "gate"]
    assert gates
    layers = sum(2 * g.in_channels * g.out_channels for g in gates)
    assert with_["flops"] - without["flops"] == layers + sum(g.in_channels * g.height * g.width for g in gates)
    assert with_["params"] - without["params"] == layers + sum(g.in_channels + g.out_channels for g in gates)


@pytest.mark.parametrize(
    ("network", "given", "before"),
    [("mobilenetv2", {}, "depthwise"), ("resnet", {"block": "basic"}, "conv2"), ("resnet", {"block": "bottleneck"}, "expand")],
)
def test_the_gate_stands_after_the_convolution_that_it_belongs_to(network: str, given: dict[str, Any], before: str) -> None:
    roles = [slot.role for slot in slots_of(small(network, **given, se=0.25)) if slot.block == "stage2.block1"]
    assert roles[roles.index("se") - 1] == before


@pytest.mark.parametrize("network", NETWORKS)
def test_no_operator_stands_in_the_gates_place(network: str) -> None:
    plain = small(network, se=0.25)
    name = next(slot.name for slot in slots_of(plain) if slot.kind == "gate")
    with pytest.raises(FileError, match="is no slot"):
        build_network(Architecture(network, plain.settings, {name: LayerChoice("dcd")}, plain.input, plain.classes))


@pytest.mark.parametrize("network", NETWORKS)
def test_defaults_are_not_written_into_architectures(network: str) -> None:
    cls = networks[network]
    complete = cls.complete({})
    written = cls.written(complete)
    assert cls.complete(written) == complete
    assert cls.written(cls.complete({**complete, "activation": "silu"}))["activation"]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("activation", sorted(set(SEARCHED_ACTIVATIONS) - set(DYNAMIC_ACTIVATIONS)))
def test_a_static_activation_costs_nothing_and_changes_what_is_computed(network: str, activation: str) -> None:
    other = "relu" if activation != "relu" else "silu"
    first, second = small(network, activation=activation), small(network, activation=other)
    assert price(first) == price(second)
    one, two = build_network(first).eval(), build_network(second).eval()
    two.load_state_dict(one.state_dict())
    x = torch.randn(2, *first.input) * 4
    assert not torch.equal(one(x), two(x))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("activation", DYNAMIC_ACTIVATIONS)
def test_a_dynamic_activation_is_a_priced_slot_and_begins_as_a_relu(network: str, activation: str) -> None:
    dynamic, static = small(network, activation=("silu", activation)), small(network, activation=("silu", "relu"))
    added = {s.name: s for s in slots_of(dynamic)}.keys() - {s.name for s in slots_of(static)}
    kinds = {slot.kind for slot in slots_of(dynamic) if slot.name in added}
    assert (kinds, {name.split(".")[0] for name in added}) == ({activation}, {"stage2"})
    assert price(dynamic) == measure(build_network(dynamic))
    assert price(dynamic)["flops"] > price(static)["flops"]
    one, two = build_network(dynamic).eval(), build_network(static).eval()
    missing = one.load_state_dict(two.state_dict(), strict=False)
    assert missing.unexpected_keys == []
    assert {name.rpartition(".")[0].rpartition(".")[0] for name in missing.missing_keys} == added
    x = torch.randn(2, *dynamic.input)
    torch.testing.assert_close(one(x), two(x))


@pytest.mark.parametrize("network", NETWORKS)
def test_each_stage_may_have_its_own_activation(network: str) -> None:
    slots = {s.name: s for s in slots_of(small(network, activation=("gelu", "silu")))}
    found = {(s.stage, s.activation) for s in slots.values() if s.kind == "conv" and s.activation and "." in s.name}
    assert found == {("stage1", "gelu"), ("stage2", "silu")}
    published = {"mobilenetv2": "relu6", "mobilenetv3": "hardswish"}.get(network, "relu")
    assert {slots[name].activation for name in ("stem", "head") if name in slots} == {published}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_space_that_searches_the_activation_of_each_stage_comes_apart(network: str) -> None:
    settings = dict(small(network).settings) | {"activation": ["relu", "silu"], "width": [0.5, 1.0]}
    content = {"format": "dcdnas/space-1", "name": "x", "network": network, "input": [3, 12, 12], "classes": 5}
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items() if k not in ("depth", "expansion")}
    space = Compiler(Document("x", content | {"settings": plain}, {})).space()
    assert [d.name for d in space.decisions if "activation" in d.name] == ["stage1.activation", "stage2.activation"]
    assert places_of(space) is not None
    assert smallest(space, "flops").cost["flops"] < largest(space, "flops").cost["flops"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"se": 2}, "se cannot be 2. Allowed: a number, 0 to 1."),
        ({"activation": "tan"}, "activation cannot be 'tan'. Allowed: relu"),
    ],
)
@pytest.mark.parametrize("network", NETWORKS)
def test_values_that_no_network_has_are_refused(network: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        networks[network].complete(given)
    assert message in str(error.value)


def test_the_activations_that_may_be_searched_are_all_that_there_are() -> None:
    assert set(SEARCHED_ACTIVATIONS) == {*filter(None, ACTIVATIONS), *DYNAMIC_ACTIVATIONS}


@pytest.mark.parametrize("network", networks)
def test_one_number_of_channels_is_a_network_of_one_stage(network: str) -> None:
    alone, listed = (networks[network].complete({"channels": channels, "depth": 1}) for channels in (16, [16]))
    assert alone == listed
    assert networks[network].slots((3, 32, 32), 10, alone) == networks[network].slots((3, 32, 32), 10, listed)
