"""Layers of a space that have their weights in common: which of them do, what they cost together, and what cannot be."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from thoroughness import slow_but

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.yaml_lines import Document
from dcdnas.cost import measure, price, verified
from dcdnas.cost.latency.device import this_device
from dcdnas.cost.latency.measuring import ready
from dcdnas.errors import FileError, SpaceError, UsageError
from dcdnas.networks import build_network, for_proxy, identity, slots_of, without
from dcdnas.space.pricing.cost import draw
from dcdnas.space.pricing.latency import places_needed
from dcdnas.space.pricing.places import places_of
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.reading.schema import json_schema
from dcdnas.space.search_space import SearchSpace

PATTERN = "*.conv1, *.conv2"
GROUP = "conv1+conv2"
SHARES = ["layer", "block", "stage", "network"]


def space(slots: dict[str, Any] | None = None, network: str = "resnet", **settings: Any) -> SearchSpace:
    usual: dict[str, Any] = {"channels": [8, 16], "strides": [1, 2], "stem_channels": 8, "depth": [1, 2]}
    usual |= {"stem": "small"} if network == "resnet" else {}
    slots = slots or {PATTERN: {"share": "network", "static": None, "kernel-warehouse": {"budget": [0.5, 1], "share": SHARES}}}
    content = {"format": "dcdnas/space-1", "name": "x", "network": network, "input": [3, 12, 12], "classes": 5}
    return Compiler(Document("x", content | {"settings": usual | settings, "slots": slots}, {("slots",): 9})).space()


def deepest(share: str, budget: float = 1) -> Architecture:
    decisions = {"stage1.depth": 2, "stage2.depth": 2, f"{GROUP}.operator": "kernel-warehouse"}
    return space().architecture(
        {**decisions, f"{GROUP}.kernel-warehouse.share": share, f"{GROUP}.kernel-warehouse.budget": budget}
    )


@pytest.mark.parametrize(("share", "warehouses"), [("layer", 8), ("block", 4), ("stage", 2), ("network", 1)])
def test_the_first_layer_of_each_scope_holds_the_cells(share: str, warehouses: int) -> None:
    a = deepest(share)
    assert sum(name.endswith(".cells") for name in build_network(a).state_dict()) == warehouses
    lenders = {n: str(c.settings.get("shared_with", "")) for n, c in a.layers.items()}
    scope = {"block": 2, "stage": 1, "network": 0, "layer": 3}[share]
    assert all(not lender or n.split(".")[:scope] == lender.split(".")[:scope] for n, lender in lenders.items())
    assert Architecture.from_dict(a.to_dict()) == a


@pytest.mark.parametrize("share", slow_but(["stage"], SHARES))
def test_what_is_shared_is_priced_once(share: str) -> None:
    a = deepest(share, 0.5)
    assert verified(a)["params"] == sum(p.numel() for p in build_network(a).parameters())


def test_borrowed_cells_are_no_activations() -> None:
    slots = {"*.project": {"share": "network", "kernel-warehouse": {"share": "stage"}}}
    a = space(slots, "mobilenetv2", depth=2, channels=[8, 24]).architecture({})
    assert price(a, ("activations",)) == measure(build_network(a), ("activations",))


def test_the_time_of_a_layer_that_borrows_cells_is_not_that_of_making_some() -> None:
    a = deepest("network")
    borrowing = next(slot for slot in slots_of(a) if slot.name == "stage2.block2.conv2")
    assert a.layers[borrowing.name].settings["shared_with"]
    operator = next(
        m for m in ready((borrowing, a.layers[borrowing.name]), this_device()).module.modules() if hasattr(m, "cells")
    )
    assert operator.cells is not None


@pytest.mark.parametrize("settings", [{"share": "network"}, {}])
def test_a_shortcut_that_goes_with_its_stride_in_a_proxy_leaves_its_cells_to_the_others(settings: dict[str, Any]) -> None:
    slots = {"*.shortcut": {"share": "network", "kernel-warehouse": settings or None}}
    a = space(slots, channels=[16, 16], strides=[2, 2], stem_channels=16).architecture({})
    proxy = for_proxy(a, (1, 6, 6), 3)
    assert a.layers.keys() - proxy.layers.keys() == {"stage1.block1.shortcut"}
    assert build_network(proxy)(torch.zeros(2, 1, 6, 6)).shape == (2, 3)
    assert verified(proxy)
    given = {name: LayerChoice() for name in (*a.layers, "stage9.block1.conv1")}
    with pytest.raises(FileError, match=r"'stage9.block1.conv1' is no slot"):
        build_network(for_proxy(replace(a, layers=given), (1, 6, 6), 3))


def test_a_layer_whose_lender_is_gone_takes_its_place() -> None:
    lent = {name: LayerChoice("kernel-warehouse", {"shared_cells": 3, "shared_with": "a" * (name != "a")}) for name in "abc"}
    assert {name: c.settings["shared_with"] for name, c in without(lent, {"a"}).items()} == {"b": "", "c": "b"}
    assert without(lent, {"c"}) == {"a": lent["a"], "b": lent["b"]}


def test_each_scope_is_another_network() -> None:
    assert len({identity(deepest(share)) for share in SHARES}) == 4


def test_random_networks_are_built_at_their_price() -> None:
    found, rng = space(), random.Random(3)
    assert places_of(found) is None, "what a layer costs depends on the others"
    for _ in range(4):
        a = found.architecture(draw(found, rng))
        assert price(a)["params"] == sum(p.numel() for p in build_network(a).parameters())


MIXED = {"*.expand, *.depthwise, *.project": {"share": "network", "static": None, "kernel-warehouse": {"share": "stage"}}}


@pytest.mark.parametrize(
    ("slots", "settings", "network", "message"),
    [
        (
            MIXED,
            {},
            "mobilenetv2",
            "x:9: slots.*.expand, *.depthwise, *.project.kernel-warehouse.share: kernel-warehouse: a layer",
        ),
        (None, {"width": "fit"}, "resnet", "settings.width: with a fitted width each layer is priced alone"),
        ({"*.conv1": {"static": None, "odconv": {"share": "stage"}}}, {}, "resnet", "odconv has no setting 'share'"),
        (
            {"*.conv1, *.conv2": {"share": "block", "kernel-warehouse": {"share": ["block", "stage"]}}},
            {},
            "resnet",
            "'stage' is a wider scope than that of the choice, which is made once per block. Write `share: stage` beside",
        ),
        (
            {"*.conv1": {"share": "stage", "kernel-warehouse": {"share": ["block", "stage"]}}},
            {},
            "resnet",
            "no two layers of this pattern are in the same block, so none would share weights. Leave 'block' out.",
        ),
        ({"*.conv1": {"kernel-warehouse": {"share": "house"}}}, {}, "resnet", "share cannot be 'house'. Allowed: layer, block"),
        ({"*.conv1": {"kernel-warehouse": {"shared_cells": 9}}}, {}, "resnet", "has no setting 'shared_cells'"),
    ],
)
def test_what_does_not_fit_is_said_at_its_line(slots: Any, settings: Any, network: str, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        space(slots, network, **settings)
    assert message in str(caught.value)


def test_there_is_no_latency_of_layers_that_share_weights() -> None:
    with pytest.raises(UsageError, match="share weights, so they cannot be measured alone"):
        places_needed(space())


def test_the_schema_knows_it() -> None:
    slots = json_schema()["properties"]["slots"]["additionalProperties"]["properties"]
    assert "share" in slots["kernel-warehouse"]["properties"]
    assert "share" not in slots["odconv"]["properties"]


UNEVEN: dict[str, Any] = {
    "channels": [8, 80], "strides": [1, 2], "stem_channels": 8, "head_channels": 16, "depth": 2,
    "expansion": {"share": "block", "*": [1, 3, 10]},
}  # fmt: skip
"""Of eight channels and eight hundred a kernel would be cut into a hundred parts, of which 64 are allowed."""


def test_layers_that_fit_together_in_some_networks_share_in_those() -> None:
    slots = {"*.expand": {"share": "network", "kernel-warehouse": {"share": ["layer", "network"]}}}
    found, wide = space(slots, "mobilenetv2", **UNEVEN), {"expand.kernel-warehouse.share": "network"}
    together, apart = (
        found.architecture({**wide, **{f"stage{s}.block{b}.expansion": e for s, b, e in blocks}})
        for blocks in ([(s, b, 3) for s in (1, 2) for b in (1, 2)], [(1, 1, 3), (1, 2, 3), (2, 1, 10), (2, 2, 10)])
    )
    assert any(c.settings.get("shared_with") for c in together.layers.values())
    assert not any(c.settings.get("shared_with") for c in apart.layers.values())
    rng = random.Random(0)
    assert all(price(found.architecture(draw(found, rng)))["flops"] > 0 for _ in range(40))
