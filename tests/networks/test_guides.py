"""Guides that the layers of a block share: what a network with them costs, is built from, and refuses."""

from __future__ import annotations

import copy
import pickle
import random
from dataclasses import replace

import pytest
import torch
from thoroughness import in_turn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost import measure, price
from dcdnas.errors import DcdnasError, FileError, GeometryError
from dcdnas.export import Model
from dcdnas.export.programs import ALLOWED, write_onnx, write_pt2
from dcdnas.networks import build_network, for_proxy, networks, slots_of
from dcdnas.operators import operators
from dcdnas.published._preset import guided, with_operator
from dcdnas.tracing.programs import traced

SHAPES = {
    "expansion": ("mobilenetv2", {"width": 0.25, "depth": [1, 2, 1], "channels": [16, 24, 32], "strides": [1, 2, 2]}),
    "basic": ("resnet", {"width": 0.25, "depth": [1, 2], "channels": [64, 128], "strides": [1, 2]}),
    "bottleneck": ("resnet", {"block": "bottleneck", "width": 0.25, "depth": [1, 2], "channels": [64, 128], "strides": [1, 2]}),
}
GUIDABLE = [name for name, cls in operators.items() if "guided_multiply_adds" in vars(cls)]


def sharing(shape: str, operator: str, size: int = 33, **settings) -> Architecture:
    """A small network whose blocks each share one guide."""
    network, given = SHAPES[shape]
    bare = Architecture(network, networks[network].complete(given), {}, (3, size, size), 10)
    inside = [s for s in slots_of(bare) if s.block != s.name and s.role != "shortcut"]
    dynamic = with_operator(bare, operator, lambda slot: settings if slot in inside else None)
    return guided(dynamic, {s.block for s in inside})


def awake(architecture: Architecture) -> torch.nn.Module:
    """The network in eval mode with all weights random, so that its guides depend on the image."""
    torch.manual_seed(0)
    network = build_network(architecture).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    return network


@pytest.mark.parametrize(("shape", "operator"), in_turn(SHAPES, GUIDABLE))
def test_a_network_with_shared_guides_is_priced_as_it_is_measured_whole(shape: str, operator: str) -> None:
    made = sharing(shape, operator)
    own = replace(made, layers={name: replace(c, guide_channels=0) for name, c in made.layers.items()})
    names = ("flops", "params", "weights")
    assert dict(price(made, names).values) == dict(measure(build_network(made), names).values)
    assert price(made)["params"] < price(own)["params"]
    assert made != own


@pytest.mark.slow
def test_guides_in_only_some_layers_of_some_blocks_are_priced_as_measured() -> None:
    rng = random.Random(0)
    for shape in SHAPES:
        whole = sharing(shape, "condconv", num_experts=3)
        mixed = {n: replace(c, guide_channels=rng.choice([0, c.guide_channels])) for n, c in whole.layers.items()}
        made = replace(whole, layers=mixed)
        assert dict(price(made).values) == dict(measure(build_network(made)).values)


@pytest.mark.parametrize("operator", GUIDABLE)
def test_a_config_builds_the_same_network_again(operator: str) -> None:
    made = sharing("expansion", operator)
    again = Architecture.from_dict(made.to_dict())
    assert again == made
    assert dict(again.layers) == dict(made.layers)
    assert pickle.loads(pickle.dumps(made)).layers == made.layers
    first, second, x = awake(made), build_network(again).eval(), torch.randn(2, 3, 33, 33)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))
    assert torch.equal(copy.deepcopy(first)(x), first(x))


@pytest.mark.parametrize("operator", GUIDABLE)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_layers_follow_the_guide_of_the_first(shape: str, operator: str) -> None:
    network, x = awake(sharing(shape, operator)), torch.randn(2, 3, 33, 33)
    block = next(m for n, m in network.named_modules() if n == "stage2.block1")
    first = next(m for n, m in block.named_children() if n in ("expand", "conv1", "reduce"))
    seen = []
    for layer in block.children():
        if getattr(layer, "guided", False):
            layer.conv.register_forward_pre_hook(lambda module, args: seen.append(args[1]))
    inputs = []
    block.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    network(x)
    assert seen
    assert all(torch.equal(guide, first.conv.guide_from(inputs[0])) for guide in seen)


def test_the_proxy_of_a_network_with_guides_trains_the_shared_router() -> None:
    network = build_network(for_proxy(sharing("bottleneck", "condconv"), (1, 8, 8), 10))
    network(torch.randn(4, 1, 8, 8)).square().sum().backward()
    assert network.get_submodule("stage1.block1.reduce.conv.router").fc.weight.grad.abs().max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("operator", GUIDABLE)
def test_an_exported_network_with_guides_computes_the_same_at_any_batch(operator: str, tmp_path) -> None:
    architecture = sharing("expansion", operator)
    network, model = awake(architecture), Model(architecture)
    program = traced(network, architecture.input)
    assert write_pt2(program, network, model, tmp_path / "network.pt2") <= ALLOWED
    assert write_onnx(network, network, model, tmp_path / "network.onnx") <= ALLOWED
    assert write_onnx(network, network, model, tmp_path / "network-batch1.onnx", for_one=True) <= ALLOWED


WRONG = {
    "a first layer": ("stage1.block1.reduce", LayerChoice("condconv", {"num_experts": 4}, "", 4), "receives no guide"),
    "a shortcut": (
        "stage2.block1.shortcut",
        LayerChoice("condconv", {"num_experts": 4}, "", 4),
        "Allowed in resnet: conv2, expand, spatial",
    ),
    "a stem": ("stem", LayerChoice("condconv", {"num_experts": 4}, "", 4), "receives no guide"),
    "a static first layer": ("stage1.block1.reduce", LayerChoice(), "is static and makes none for condconv"),
    "other experts": ("stage1.block1.reduce", LayerChoice("condconv", {"num_experts": 2}), "makes one of 2 channels"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_guide_that_nobody_makes_is_refused_with_the_layer_that_asks(case: str) -> None:
    name, choice, message = WRONG[case]
    made = sharing("bottleneck", "condconv", num_experts=4)
    with pytest.raises(FileError, match=message):
        build_network(replace(made, layers={**made.layers, name: choice}))


def test_an_operator_without_guides_and_a_wrong_number_of_channels_are_refused() -> None:
    made = sharing("basic", "condconv", num_experts=4)
    for choice in (LayerChoice("dcd", {}, "", 4), LayerChoice("condconv", {"num_experts": 4}, "", 3)):
        with pytest.raises(DcdnasError, match="guide"):
            build_network(replace(made, layers={**made.layers, "stage1.block1.conv2": choice}))
        with pytest.raises(GeometryError, match="guide"):
            price(replace(made, layers={**made.layers, "stage1.block1.conv2": choice}))
    with pytest.raises(FileError, match="guide_channels"):
        Architecture.from_dict({**made.to_dict(), "layers": {"stem": {"operator": "condconv", "guide_channels": -1}}})
