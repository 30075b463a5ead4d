"""ResNet: published sizes, wiring, settings and their errors, the proxy's small images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from random_settings import architectures
from thoroughness import examples
from torch import nn

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost
from dcdnas.cost import price
from dcdnas.errors import UsageError
from dcdnas.networks import build_network, for_proxy, slots_of
from dcdnas.networks.resnet import Basic, Bottleneck, ResNet
from dcdnas.testing import network as rules

SMALL: dict[str, Any] = {"channels": (8, 16), "depth": 2, "strides": (1, 2), "stem": "small", "stem_channels": 8}


def resnet(block: str = "basic", input: tuple[int, int, int] = (3, 224, 224), classes: int = 1000, **given: Any) -> Architecture:
    return Architecture("resnet", {"block": block, **given}, {}, input, classes)


def small(block: str, **given: Any) -> Architecture:
    return resnet(block, (3, 12, 12), 5, **{**SMALL, **given})


@pytest.mark.parametrize(
    ("block", "flops", "params"),
    [("basic", 1_814_073_344, 11_689_512), ("bottleneck", 4_089_184_256, 25_557_032)],
    ids=["ResNet-18", "ResNet-50"],
)
def test_the_default_of_each_block_has_exactly_the_published_size(block: str, flops: int, params: int) -> None:
    # ODConv's static baselines at 3x224x224: parameters, and multiply-adds of convolutions and linear layers.
    assert price(resnet(block)) == Cost({"flops": flops, "params": params})


@given(architectures("resnet"))
@examples(40)
def test_the_price_of_any_settings_is_what_the_whole_network_measures(architecture: Architecture) -> None:
    rules.price_is_measured(architecture)


@given(architectures("resnet"))
@examples(20)
def test_every_slot_is_a_module_of_its_name_and_no_parameter_stands_outside_the_slots(architecture: Architecture) -> None:
    rules.slots_are_modules(architecture)


@given(architectures("resnet"))
@examples(20)
def test_each_slot_receives_a_map_of_the_size_its_geometry_says(architecture: Architecture) -> None:
    rules.maps_as_planned(architecture)


@pytest.mark.parametrize(("block", "last"), [("basic", "conv2"), ("bottleneck", "expand")])
def test_a_block_whose_last_norm_is_zero_passes_its_input_on(block: str, last: str) -> None:
    network = build_network(small(block)).eval()
    inner = network.get_submodule("stage1.block2")
    nn.init.zeros_(inner.get_submodule(f"{last}.norm").weight)
    x = torch.rand(2, 8, 12, 12)
    assert torch.equal(inner(x), x)


@pytest.mark.parametrize(("block", "last"), [("basic", "conv2"), ("bottleneck", "expand")])
def test_a_block_that_changes_the_shape_adds_its_shortcut_before_the_activation(block: str, last: str) -> None:
    network = build_network(small(block)).eval()
    first = network.get_submodule("stage2.block1")
    nn.init.zeros_(first.get_submodule(f"{last}.norm").weight)
    x = torch.randn(2, 8, 12, 12)
    shortcut = first.get_submodule("shortcut")(x)
    assert (shortcut < 0).any()
    assert torch.equal(first(x), shortcut.relu())


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_block_is_the_sum_of_its_path_and_its_input(block: str) -> None:
    network = build_network(small(block)).eval()
    inner = network.get_submodule("stage2.block2")
    assert isinstance(inner, (Basic, Bottleneck))
    x = torch.randn(2, 16, 6, 6)
    path = inner.conv2(inner.conv1(x)) if isinstance(inner, Basic) else inner.expand(inner.spatial(inner.reduce(x)))
    assert torch.equal(inner(x), (path + x).relu())


def test_the_stride_of_a_bottleneck_is_on_its_spatial_convolution() -> None:
    strides = {s.role: s.geometry.stride for s in slots_of(small("bottleneck")) if s.block == "stage2.block1"}
    assert strides == {"reduce": 1, "spatial": 2, "expand": 1, "shortcut": 2}


def test_a_shortcut_stands_only_where_a_block_changes_the_shape() -> None:
    assert [s.name for s in slots_of(small("basic")) if s.role == "shortcut"] == ["stage2.block1.shortcut"]


def test_expansion_is_the_middle_of_a_block_as_a_multiple_of_its_stage() -> None:
    slots = {s.name: s.geometry for s in slots_of(small("bottleneck", expansion=((0.5, 1), (2, 0.5))))}
    assert [slots[f"stage{s}.block{b}.spatial"].in_channels for s in (1, 2) for b in (1, 2)] == [8, 8, 32, 8]


@pytest.mark.parametrize(
    ("size", "stem", "strides", "last"),
    [(224, "imagenet", (1, 2, 2, 2), 7), (96, "imagenet", (1, 2, 2, 2), 3), (64, "medium", (1, 2, 2, 2), 4),
     (28, "small", (1, 2, 2, 2), 4), (12, "small", (1, 1, 2, 2), 3), (4, "small", (1, 1, 1, 1), 4)],
)  # fmt: skip
def test_a_proxy_takes_strides_away_from_the_stem_on(size: int, stem: str, strides: tuple[int, ...], last: int) -> None:
    proxy = for_proxy(resnet(), (1, size, size), 10)
    assert (proxy.settings["stem"], proxy.settings["strides"]) == (stem, strides)
    assert slots_of(proxy)[-2].geometry.height == last


def test_a_proxy_changes_input_classes_and_strides_and_nothing_else() -> None:
    proxy = for_proxy(resnet("bottleneck", width=0.5), (1, 28, 28), 10)
    kept = {k: v for k, v in ResNet.complete(proxy.settings).items() if k not in ("stem", "strides")}
    complete = ResNet.complete({"block": "bottleneck", "width": 0.5})
    assert kept == {k: v for k, v in complete.items() if k not in ("stem", "strides")}
    assert (proxy.input, proxy.classes) == ((1, 28, 28), 10)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(3, ((3, 3), (3, 3))), ((3, 5), ((3, 3), (5, 5))), (((3, 5), 7), ((3, 5), (7, 7)))],
    ids=["one for all", "one a stage", "one a block"],
)
def test_one_value_stands_for_all_blocks_or_for_those_of_a_stage(given: Any, expected: Any) -> None:
    assert ResNet.complete({**SMALL, "kernel_size": given})["kernel_size"] == expected


def test_complete_settings_stay_as_they_are() -> None:
    complete = ResNet.complete({"block": "bottleneck", "depth": 1})
    assert ResNet.complete(complete) == complete


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernel": 3}, "ResNet has no setting 'kernel'. Known: block"),
        ({"block": "wide"}, "block cannot be 'wide'. Allowed: basic, bottleneck."),
        ({"stem": "large"}, "stem cannot be 'large'. Allowed: imagenet, medium, small."),
        ({"kernel_size": 4}, "kernel_size cannot be 4. Allowed: an odd number, 1 to 11."),
        ({"depth": (1, 2)}, "depth has 2 values for 4 stages"),
        ({"depth": 0}, "depth cannot be 0. Allowed: a whole number, 1 to 50."),
        ({"kernel_size": ((3, 3, 3), 3, 3, 3)}, "kernel_size of stage1 has 3 values for 2 blocks"),
        ({"expansion": float("nan")}, "expansion cannot be nan"),
        ({"strides": (1, 2, 3, 2)}, "strides cannot be 3. Allowed: whole numbers, 1 to 2."),
        ({"channels": ()}, "channels cannot be ()"),
        ({"channels": (64.5, 64)}, "channels cannot be 64.5"),
        ({"stem_channels": 0}, "stem_channels cannot be 0"),
    ],
)
def test_settings_that_no_network_has_are_refused_with_what_is_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        ResNet.complete(given)
    assert message in str(error.value)


def test_dropout_acts_in_training_only() -> None:
    network = build_network(small("basic", dropout=0.9))
    x = torch.rand(8, 3, 12, 12)
    assert torch.equal(network.eval()(x), network.eval()(x))
    assert not torch.equal(network.train()(x), network.train()(x))
