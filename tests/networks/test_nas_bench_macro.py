"""The networks of NAS-Bench-Macro cost what their authors say, and where a stage's identities stand makes no other network."""

from __future__ import annotations

import pytest
import torch
from building import built, same

from dcdnas.core.architecture import Architecture
from dcdnas.cost import measure, price
from dcdnas.errors import UsageError
from dcdnas.networks import build_network, identity, networks, slots_of

KINDS = ("identity", "ir-3x3-t3", "ir-5x5-t6")

PUBLISHED = {
    "00000000": (7_713_280, 387_882),
    "11111111": (53_246_464, 1_588_874),
    "22222222": (105_660_928, 2_932_586),
    "22212220": (85_164_544, 1_985_514),
    "01020012": (47_858_176, 1_869_418),
    "10210000": (28_168_704, 576_522),
}
"""Multiply-adds and parameters of some networks in the benchmark's table."""


def network(digits: str) -> Architecture:
    """A network under the name that the benchmark gives it: a digit a block."""
    kinds = [KINDS[int(digit)] for digit in digits]
    return Architecture("nas-bench-macro", {"block": (kinds[:2], kinds[2:5], kinds[5:])}, {}, (3, 32, 32), 10)


@pytest.mark.parametrize("digits", PUBLISHED)
def test_a_network_costs_what_the_benchmark_says(digits: str) -> None:
    found = price(network(digits))
    assert (found["flops"], found["params"]) == PUBLISHED[digits]


def test_what_is_built_measures_the_same() -> None:
    for digits in ("01020012", "10210000"):
        measured = measure(build_network(network(digits)), ("flops", "params"))
        assert (measured["flops"], measured["params"]) == PUBLISHED[digits]


def test_identities_may_stand_anywhere_among_the_blocks_of_a_stage_that_keep_the_shape() -> None:
    first, second = network("10210120"), network("10201102")
    assert first.digest != second.digest
    assert identity(first) == identity(second)
    assert same(built(first), built(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [("10102012", "10120021"), ("10000000", "01000000"), ("11100000", "11010000"), ("11111110", "11111111")],
    ids=["another order", "a first block", "a first block of the second stage", "one block more"],
)
def test_other_networks_are_told_apart(first: str, second: str) -> None:
    assert identity(network(first)) != identity(network(second))


def test_a_first_block_that_is_nothing_changes_the_shape_and_has_no_activation() -> None:
    slots = [s for s in slots_of(network("00000000")) if "." in s.name]
    assert [s.name for s in slots] == [f"stage{n}.block1.project" for n in (1, 2, 3)]
    assert {(s.geometry.kernel_size, s.geometry.stride, s.activation) for s in slots} == {(1, 2, "")}


def test_a_stage_of_identities_is_no_stage_at_all() -> None:
    settings = {"block": (("identity",), ("ir-3x3-t3",)), "channels": (8, 16), "stem_channels": 8, "depth": 1, "strides": (1, 2)}
    plain = Architecture("nas-bench-macro", settings, {}, (3, 12, 12), 5)
    built_network = build_network(plain).eval()
    assert {s.stage for s in slots_of(plain)} == {"stem", "stage2", "head", "classifier"}
    assert built_network(torch.zeros(2, 3, 12, 12)).shape == (2, 5)


def test_a_kind_of_block_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="Allowed: identity, ir-3x3-t3, ir-5x5-t6"):
        networks["nas-bench-macro"].complete({"block": "ir-7x7-t6"})
