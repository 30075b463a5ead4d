"""MobileNetV2: published sizes, wiring, settings and their errors, the proxy's small images."""

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
from dcdnas.networks.mobilenetv2 import MobileNetV2
from dcdnas.testing import network as rules

SMALL: dict[str, Any] = {"channels": (8, 16), "depth": 2, "strides": (1, 2), "expansion": (1, 4), "stem_channels": 8}


def mobilenet(input: tuple[int, int, int] = (3, 224, 224), classes: int = 1000, **given: Any) -> Architecture:
    return Architecture("mobilenetv2", given, {}, input, classes)


def small(**given: Any) -> Architecture:
    return mobilenet((3, 12, 12), 5, **{**SMALL, "head_channels": 32, "stem_stride": 1, **given})


@pytest.mark.parametrize(
    ("width", "flops", "params"), [(1.0, 300_774_272, 3_504_872), (0.5, 97_131_840, 1_968_680)], ids=["1.0", "0.5"]
)
def test_each_width_has_exactly_the_published_size(width: float, flops: int, params: int) -> None:
    # ODConv's static baselines at 3x224x224: parameters, and multiply-adds of convolutions and linear layers.
    assert price(mobilenet(width=width)) == Cost({"flops": flops, "params": params})


@given(architectures("mobilenetv2"))
@examples(40)
def test_the_price_of_any_settings_is_what_the_whole_network_measures(architecture: Architecture) -> None:
    rules.price_is_measured(architecture)


@given(architectures("mobilenetv2"))
@examples(20)
def test_every_slot_is_a_module_of_its_name_and_no_parameter_stands_outside_the_slots(architecture: Architecture) -> None:
    rules.slots_are_modules(architecture)


@given(architectures("mobilenetv2"))
@examples(20)
def test_each_slot_receives_a_map_of_the_size_its_geometry_says(architecture: Architecture) -> None:
    rules.maps_as_planned(architecture)


def test_a_block_whose_last_norm_is_zero_passes_its_input_on() -> None:
    network = build_network(small()).eval()
    inner = network.get_submodule("stage2.block2")
    nn.init.zeros_(inner.get_submodule("project.norm").weight)
    x = torch.randn(2, 16, 6, 6)
    assert torch.equal(inner(x), x)


def test_a_block_that_changes_the_shape_adds_nothing() -> None:
    network = build_network(small()).eval()
    first = network.get_submodule("stage2.block1")
    nn.init.zeros_(first.get_submodule("project.norm").weight)
    assert not first(torch.randn(2, 8, 12, 12)).any()


def test_the_projection_has_no_activation() -> None:
    activations = {s.role: s.activation for s in slots_of(small()) if s.stage == "stage2"}
    assert activations == {"expand": "relu6", "depthwise": "relu6", "project": ""}


def test_an_expansion_of_one_leaves_the_widening_out() -> None:
    roles = [s.role for s in slots_of(small()) if s.block == "stage1.block1"]
    assert roles == ["depthwise", "project"]


def test_no_head_channels_leave_the_head_out() -> None:
    slots = slots_of(small(head_channels=0))
    assert "head" not in {s.name for s in slots}
    assert slots[-1].geometry.in_channels == 16


@pytest.mark.parametrize(
    ("size", "stem_stride", "strides", "last"),
    [(224, 2, (1, 2, 2, 2, 1, 2, 1), 7), (96, 2, (1, 2, 2, 2, 1, 2, 1), 3), (32, 1, (1, 1, 2, 2, 1, 2, 1), 4),
     (28, 1, (1, 1, 2, 2, 1, 2, 1), 4), (5, 1, (1, 1, 1, 1, 1, 2, 1), 3), (4, 1, (1, 1, 1, 1, 1, 1, 1), 4)],
)  # fmt: skip
def test_a_proxy_takes_strides_away_from_the_stem_on(size: int, stem_stride: int, strides: tuple[int, ...], last: int) -> None:
    proxy = for_proxy(mobilenet(), (1, size, size), 10)
    assert (proxy.settings["stem_stride"], proxy.settings["strides"]) == (stem_stride, strides)
    assert slots_of(proxy)[-2].geometry.height == last


@pytest.mark.parametrize(
    ("given", "expected"),
    [(5, ((5, 5), (5, 5))), ((3, 5), ((3, 3), (5, 5))), (((3, 5), 7), ((3, 5), (7, 7)))],
    ids=["one for all", "one a stage", "one a block"],
)
def test_one_value_stands_for_all_blocks_or_for_those_of_a_stage(given: Any, expected: Any) -> None:
    assert MobileNetV2.complete({**SMALL, "kernel_size": given})["kernel_size"] == expected


def test_an_expansion_may_be_fractional() -> None:
    slots = {s.name: s.geometry for s in slots_of(small(expansion=4.5))}
    assert slots["stage2.block2.depthwise"].in_channels == 72


def test_complete_settings_stay_as_they_are() -> None:
    complete = MobileNetV2.complete({"width": 0.5})
    assert MobileNetV2.complete(complete) == complete


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernel": 3}, "MobileNetV2 has no setting 'kernel'. Known: width"),
        ({"kernel_size": 2}, "kernel_size cannot be 2. Allowed: an odd number, 1 to 11."),
        ({"kernel_size": "large"}, "kernel_size cannot be 'large'"),
        ({"width": 0}, "width cannot be 0. Allowed: a number, 0.05 to 10."),
        ({"depth": (1, 2)}, "depth has 2 values for 7 stages"),
        ({"depth": 1.5}, "depth cannot be 1.5. Allowed: a whole number, 1 to 20."),
        ({"expansion": ((1, 1), 6, 6, 6, 6, 6, 6)}, "expansion of stage1 has 2 values for 1 blocks"),
        ({"strides": (1, 2, 4, 2, 1, 2, 1)}, "strides cannot be 4. Allowed: whole numbers, 1 to 2."),
        ({"channels": (16, "24")}, "channels cannot be '24'"),
        ({"head_channels": -1}, "head_channels cannot be -1. Allowed: whole numbers, 0 or more."),
        ({"head_channels": [8]}, "head_channels cannot be [8]. Allowed: one whole number."),
        ({"stem_channels": [8]}, "stem_channels cannot be [8]. Allowed: one whole number."),
        ({"stem_channels": 10**300}, "stem_channels cannot be so large (the most is 1,048,576)"),
        ({"width": [1.0]}, "width cannot be [1.0]. Allowed: one value, a number"),
        ({"depth": [[1]] * 7}, "Allowed: a value a stage, a whole number"),
        ({"dropout": "much"}, "dropout cannot be 'much'. Allowed: a number, 0 to below 1."),
    ],
)
def test_settings_that_no_network_has_are_refused_with_what_is_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        MobileNetV2.complete(given)
    assert message in str(error.value)
