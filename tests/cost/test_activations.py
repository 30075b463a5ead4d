"""Peak memory of activations: by price as it is measured whole, and as torch's allocator has it on the CPU.

Error: at the ends of operations the allocator has exactly our number for every layer; for a network too where its peak is not
inside of a compound operation, else less. While an operation runs it may have more, which is what the operation takes for itself
and gives back; of a dense convolution of few channels, whose input is unfolded for a matrix product, several times its maps.
"""

from __future__ import annotations

import copy
import random

import pytest
import torch
from test_price import any_architecture, any_choice
from thoroughness import slow_but
from torch import nn
from torch._C._dynamo.eval_frame import set_eval_frame

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import measure, metrics, price
from dcdnas.cost._skeleton import skeleton
from dcdnas.cost.activations import UNKNOWN, floor, slot_need
from dcdnas.networks import HEADS, Slot, build_network, make, network_of, networks, slots_of
from dcdnas.networks._base import deployed
from dcdnas.networks._slot import STATIC
from dcdnas.operators import BatchNorm, operators
from dcdnas.operators._product import counting
from dcdnas.published import architecture as published
from dcdnas.space.library import load_space, shipped
from dcdnas.space.pricing.cost import draw

ACTIVATIONS = metrics["activations"]
NAME = ("activations",)
PLACES = (ConvGeometry(16, 16, 3, 2, 16, height=20, width=24), ConvGeometry(16, 16, 3, height=14, width=14))


def allocated(module: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """The most bytes that torch's allocator had at the end of an operation, and at any time; with the input, without weights."""
    ready, x = deployed(copy.deepcopy(module)), torch.zeros(1, *shape)
    with torch.no_grad(), counting():
        ready(x)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
            ready(x)
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = [(e.start_ns(), 0, e.nbytes()) for e in events if e.name() == "[memory]"]
    spans = sorted((e.start_ns(), e.start_ns() + e.duration_ns()) for e in events if e.name().startswith(("aten::", "dcdnas::")))
    ends: list[int] = []
    for _, end in spans:
        if not ends or end > ends[-1]:
            ends.append(end)  # of an operation that no other one runs in
    now = at_ends = always = x.numel() * x.element_size()
    for _, is_end, size in sorted([*changes, *((end, 1, 0) for end in ends)]):
        now += size
        always = max(always, now)
        at_ends = max(at_ends, now if is_end else 0)
    return at_ends, always


def ours(architecture: Architecture) -> float:
    return price(architecture, NAME)["activations"]


def priced_as_measured(architecture: Architecture) -> bool:
    return ours(architecture) == measure(build_network(architecture), NAME)["activations"]


@pytest.mark.parametrize("network", slow_but(["mobilenetv3", "resnet"], networks))
def test_a_random_network_is_priced_as_it_is_measured_whole_and_takes_what_the_allocator_has(network: str) -> None:
    architecture = any_architecture(network, 0)
    assert priced_as_measured(architecture)
    at_ends, always = allocated(build_network(architecture), architecture.input)
    assert 0.7 * ours(architecture) <= at_ends <= ours(architecture) <= always


@pytest.mark.parametrize("geometry", PLACES, ids=["depthwise", "dense"])
@pytest.mark.parametrize("operator", operators)
def test_every_operator_takes_what_the_allocator_has(operator: str, geometry: ConvGeometry) -> None:
    slot = Slot("s", geometry, activation="relu6")
    layer = make(slot, any_choice(slot, random.Random(operator), operator))
    shape = (geometry.in_channels, geometry.height, geometry.width)
    at_ends, always = allocated(layer, shape)
    norms = [m for m in deployed(copy.deepcopy(layer)).modules() if isinstance(m, BatchNorm)]
    statistics = sum(8 * norm.num_features for norm in norms)  # which a BatchNorm that stays has while it runs
    assert at_ends <= ACTIVATIONS.measure(layer, shape) <= min(always, at_ends + statistics)


@pytest.mark.parametrize("operator", slow_but(["odconv", "drconv"], operators))
def test_every_operator_in_a_network_is_priced_as_it_is_measured_whole(operator: str) -> None:
    assert priced_as_measured(any_architecture("resnet", 0, operator))


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["", *operators])
@pytest.mark.parametrize("network", networks)
def test_every_operator_in_every_network_is_priced_as_measured_and_takes_what_is_allocated(network: str, operator: str) -> None:
    architecture = any_architecture(network, 1, operator)
    assert priced_as_measured(architecture)
    at_ends, always = allocated(build_network(architecture), architecture.input)
    assert 0.7 * ours(architecture) <= at_ends <= ours(architecture) <= always


@pytest.mark.parametrize("space", slow_but(["fashion-quick"], shipped()))
def test_a_network_of_each_shipped_space_is_priced_as_it_is_measured_whole(space: str) -> None:
    found, rng = load_space(space).ends[0], random.Random(0)
    assert priced_as_measured(found.architecture(draw(found, rng)))


def test_mobilenetv2_needs_what_can_be_added_up_by_hand() -> None:
    """In the second stage: the image, the first block's input, what it expands to, and that filtered at half the size."""
    by_hand = 4 * (3 * 224**2 + 16 * 112**2 + 96 * 112**2 + 96 * 56**2)
    assert ours(Architecture("mobilenetv2", {}, {}, (3, 224, 224), 1000)) == by_hand


@pytest.mark.parametrize("head", ["", *HEADS])
@pytest.mark.parametrize("network", networks)
def test_a_network_needs_the_same_where_calls_keep_their_arguments(network: str, head: str) -> None:
    """As they do while code that torch.compile made runs: Python then calls functions another way."""
    cls = network_of(network, head)
    wiring = skeleton.__wrapped__(cls, (), (3, 64, 64), 10)
    before = set_eval_frame(False)
    try:
        assert skeleton.__wrapped__(cls, (), (3, 64, 64), 10) == wiring
    finally:
        set_eval_frame(before)


def test_what_a_module_holds_counts_until_it_lets_go() -> None:
    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            wide = x.repeat(1, 4)
            small = wide[:, :2] + 1
            del wide
            return torch.cat([small, x.repeat(1, 2)], 1)

    # of one float an element: x (10) and wide (40), then small (2); later small, x twice (20), their join (22)
    assert ACTIVATIONS.measure(Branches(), (10,)) == 4 * max(10 + 40 + 2, 10 + 2 + 20 + 22)


def test_weights_and_views_of_them_do_not_count_and_norms_are_in_the_convolutions() -> None:
    slot = Slot("s", ConvGeometry(8, 8, 3, height=5, width=5), activation="relu")
    layer = make(slot)
    assert ACTIVATIONS.measure(layer, (8, 5, 5)) == 2 * 4 * 8 * 25
    linear = nn.Sequential(nn.Flatten(), nn.Linear(200, 3))
    assert ACTIVATIONS.measure(linear, (8, 5, 5)) == 4 * (200 + 3)


def test_an_activation_that_is_not_in_place_takes_a_map_more() -> None:
    g = ConvGeometry(8, 8, 3, height=5, width=5)
    assert slot_need(Slot("a", g, activation="gelu"), STATIC) == 2 * slot_need(Slot("b", g, activation="relu"), STATIC)
    assert floor(Slot("a", g), STATIC) == 2 * 4 * 8 * 25


def test_a_norm_that_stays_has_no_statistics_where_tensors_have_no_memory_either() -> None:
    kernel_1x1 = {"channels": (24,), "strides": (1,), "depth": 1, "expansion": 1, "stem_channels": 24, "kernel_size": 1}
    layers = {"stage1.block1.depthwise": LayerChoice("kernel-warehouse", {"out_parts": 6})}
    architecture = Architecture("mobilenetv2", {**kernel_1x1, "head_channels": 0}, layers, (3, 20, 20), 4)
    assert isinstance(deployed(build_network(architecture)).get_submodule("stage1.block1.depthwise.norm"), BatchNorm)
    assert priced_as_measured(architecture)


@pytest.mark.slow
def test_layers_that_share_a_guide_are_measured_whole() -> None:
    architecture = published("condconv/cond_mobilenetv2", width=0.25, input_size=32)
    assert priced_as_measured(architecture)


@pytest.mark.slow
def test_a_slot_that_leaves_more_than_its_result_is_measured_with_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    original = operators["condconv"].forward
    monkeypatch.setattr(operators["condconv"], "forward", lambda self, x: torch.cat([original(self, x)] * 3, 1)[:, ::3])
    architecture = any_architecture("mobilenetv2", 3, "condconv")
    taken = [(s, architecture.layers[s.name]) for s in slots_of(architecture) if s.name in architecture.layers]
    assert UNKNOWN in [slot_need(*place) for place in taken]
    assert priced_as_measured(architecture)
