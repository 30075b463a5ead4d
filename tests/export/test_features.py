"""A network as a backbone: its maps, what is said of them, and a new classifier for other classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from thoroughness import slow_but
from torch import nn

import dcdnas
from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost import count, price
from dcdnas.errors import UsageError
from dcdnas.export import Model, export_model, save_weights
from dcdnas.export.features import Features
from dcdnas.networks import Network, build_network, networks

SMALL: dict[str, dict[str, Any]] = {
    "mobilenetv2": {"channels": (8, 16, 24), "depth": 1, "strides": (1, 2, 2)},
    "mobilenetv3": {},
    "resnet": {"channels": (8, 16), "depth": 1, "strides": (1, 2), "stem_channels": 8},
    "shufflenetv2": {},
    "nas-bench-macro": {},
}


def architecture(name: str) -> Architecture:
    return Architecture(name, SMALL[name], {}, (3, 64, 64), 5)


def test_every_backbone_is_here() -> None:
    assert set(SMALL) == set(networks)


@pytest.mark.parametrize("name", SMALL)
def test_maps_are_as_they_are_said_to_be_at_any_size_of_image(name: str) -> None:
    backbone = dcdnas.build(architecture(name), features_only=True).eval()
    info = backbone.feature_info
    assert len(info) >= 2
    for height, width in ((64, 64), (96, 33)):
        maps = backbone(torch.randn(2, 3, height, width))
        assert [m.shape[1] for m in maps] == info.channels()
        for found, stride in zip(maps, info.reduction(), strict=True):
            assert tuple(found.shape[2:]) == (-(-height // stride), -(-width // stride))
    assert info.reduction() == sorted(info.reduction())
    assert [info[i]["module"] for i in range(len(info))] == info.module_name()


@pytest.mark.parametrize("name", SMALL)
def test_the_maps_are_those_of_the_network(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture(name)).eval()
    x, seen = torch.randn(1, 3, 64, 64), {}
    for stage in network.stages:
        network.get_submodule(stage).register_forward_hook(lambda _, __, y, stage=stage: seen.update({stage: y}))
    last = network.forward_features(x)
    for stage in network.stages:
        network.get_submodule(stage)._forward_hooks.clear()
    wanted = {**seen}
    backbone = Features(network)
    for found, stage in zip(backbone(x), backbone.feature_info.module_name(), strict=True):
        assert torch.equal(found, wanted.get(stage, found))
    assert last.shape[2:] == backbone(x)[-1].shape[2:]


@pytest.mark.parametrize("name", slow_but(["mobilenetv2", "resnet"], SMALL))
def test_the_last_map_is_what_the_classifier_is_given(name: str) -> None:
    network = build_network(architecture(name)).eval()
    x, pooled = torch.randn(2, 3, 64, 64), network.forward_features(torch.randn(2, 3, 64, 64)).mean((2, 3))
    first = network.embedding if name == "mobilenetv3" else network.classifier
    given: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    network(x)
    assert torch.equal(given[0], network.forward_features(x).mean((2, 3)))
    assert given[0].shape == pooled.shape


def test_indices_choose_maps_and_what_follows_them_is_gone() -> None:
    backbone = dcdnas.build(architecture("mobilenetv2"), features_only=True, out_indices=(0, -2))
    assert backbone.feature_info.module_name() == ["stage1", "stage2"]
    assert (backbone.feature_info.channels(2), backbone.feature_info.channels([0, 2])) == (24, [8, 24])
    assert not any(name.startswith(("body.stage3", "body.head", "body.classifier")) for name, _ in backbone.named_parameters())
    loss = sum(m.square().sum() for m in backbone(torch.randn(2, 3, 64, 64)))
    loss.backward()
    assert all(p.grad is not None for p in backbone.parameters())


@pytest.mark.parametrize("wanted", [(3,), (-4,), ()])
def test_a_map_that_there_is_not_is_refused(wanted: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"Allowed: some of 0 to 2, for 8 channels at stride 2, 16 channels at stride 4"):
        dcdnas.build(architecture("mobilenetv2"), features_only=True, out_indices=wanted)


def test_trained_weights_are_loaded_into_a_backbone(tmp_path: Path) -> None:
    network = build_network(architecture("resnet")).eval()
    weights = save_weights(network, tmp_path / "w.safetensors").path
    export_model(Model(network.architecture), tmp_path / "net", ["config", "torch"], weights)
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(dcdnas.load(tmp_path / "net", features_only=True)(x)[-1], network.forward_features(x))
    assert not dcdnas.load(tmp_path / "net", features_only=True).training


def reset(network: Network, classes: int) -> Network:
    network.reset_classifier(classes)
    return network


CLASSIFIERS = (
    LayerChoice(),
    LayerChoice("dcd", {"variant": "code", "rule": "classifier"}),
    LayerChoice("condconv", {"num_experts": 4}),
)


@pytest.mark.parametrize("choice", CLASSIFIERS, ids=lambda choice: choice.operator)
def test_a_classifier_for_other_classes_is_fresh_and_the_architecture_follows(choice: LayerChoice) -> None:
    network = build_network(replace(architecture("mobilenetv2"), layers={"classifier": choice}))
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items() if not name.startswith("classifier")}
    reset(network.eval().double(), 9)
    assert network(torch.randn(2, 3, 64, 64, dtype=torch.float64)).shape == (2, 9)
    assert network.architecture.classes == 9
    assert dict(price(network.architecture).values) == dict(count(network.float(), (3, 64, 64)).values)
    assert build_network(network.architecture).load_state_dict(network.state_dict())
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in kept.items())


def test_without_classes_the_features_come_out() -> None:
    network = reset(build_network(architecture("resnet")).eval(), 0)
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(network(x), network.forward_features(x).mean((2, 3)))
    assert isinstance(network.classifier, nn.Identity)
    assert reset(network, 4)(x).shape == (2, 4)


def test_a_network_that_scores_pixels_is_a_backbone_too_and_gets_other_classes() -> None:
    pixels = replace(architecture("mobilenetv2"), head="decoder")
    assert dcdnas.build(pixels, features_only=True).feature_info.channels() == [8, 16, 24]
    assert reset(build_network(pixels).eval(), 7)(torch.randn(1, 3, 64, 64)).shape == (1, 7, 64, 64)


@pytest.mark.parametrize("indices", ["1", 1, (1.5,), [True], [], [9], [None]])
def test_indices_that_are_no_list_of_maps_are_refused(indices: Any) -> None:
    with pytest.raises(UsageError, match=r"out_indices cannot be .*\. Allowed: some of 0 to 2, for 8 channels at stride"):
        dcdnas.build(architecture("mobilenetv2"), features_only=True, out_indices=indices)


@pytest.mark.parametrize("classes", [1.5, "3", None, -1, True])
def test_a_number_of_classes_that_is_none_is_refused(classes: Any) -> None:
    network = build_network(architecture("mobilenetv2"))
    with pytest.raises(UsageError, match=r"num_classes cannot be .*\. Allowed: "):
        reset(network, classes)
    assert network.architecture.classes == 5


@pytest.mark.parametrize("source", [None, {}, 3])
def test_what_is_no_config_is_neither_built_nor_loaded(source: Any) -> None:
    for make in (dcdnas.build, dcdnas.load):
        with pytest.raises(
            UsageError, match=r"a model config cannot be .*\. Allowed: an architecture, a config file, or the folder"
        ):
            make(source)
