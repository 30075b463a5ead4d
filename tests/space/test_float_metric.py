"""Spaces priced by a metric of fractions: ends, draws and tables are those of its values, and whole numbers stay whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from energy import EACH, NOTATION, energy_known
from spaces import TINY, all_outcomes, tiny
from thoroughness import slow_but

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.budget import Budget, within
from dcdnas.cost import Metric, price, verified
from dcdnas.space.pricing.cost import draws_within, largest, share_within, smallest
from dcdnas.space.pricing.coverage import Range, fit
from dcdnas.space.pricing.table import SpaceTable

NAMES = ("flops", "energy")


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    """The metric."""
    with energy_known():
        yield


@pytest.mark.parametrize("name", TINY)
def test_the_ends_are_those_of_all_networks(name: str) -> None:
    space = tiny(name)
    costs = [price(space.architecture(o), ("energy",))["energy"] for o in all_outcomes(space)]
    assert 0 < min(costs) < max(costs) < 0.1
    assert smallest(space, "energy").cost["energy"] == pytest.approx(min(costs), rel=1e-12)
    assert largest(space, "energy").cost["energy"] == pytest.approx(max(costs), rel=1e-12)


@pytest.mark.parametrize("name", slow_but(["layer"], TINY))
def test_draws_within_a_budget_are_within_it_and_have_the_same_share(name: str) -> None:
    space = tiny(name)
    costs = sorted(price(space.architecture(o), ("energy",))["energy"] for o in all_outcomes(space))
    budget = Budget("energy", costs[len(costs) // 2])
    drawn = list(islice(draws_within(space, [budget], random.Random(0)), 100))
    assert len(drawn) == 100
    assert all(within(p.cost, [budget]) for p in drawn)
    flops = Budget("flops", budget.at_most / EACH + 0.5)
    assert share_within(space, [budget]).value == pytest.approx(share_within(space, [flops]).value, abs=0.1)
    assert fit(space, [budget]).ranges[0].smallest == pytest.approx(costs[0], rel=1e-12)


def test_a_metric_that_is_0_for_every_network_has_a_range() -> None:
    nothing = Metric(NOTATION, "none", lambda module, shape: 0.0, of_slot=lambda slot, choice: 0.0)
    with energy_known(nothing):
        found = fit(tiny("stage"), [Budget("energy", 1.0)])
    assert found.ranges[0] == Range("energy", 0.0, 0.0, 0.0)
    assert found.share.value == 1


def test_a_table_adds_fractions_and_keeps_whole_numbers_whole() -> None:
    space = tiny("stage")
    outcomes = list(all_outcomes(space))[:200]
    both, whole = SpaceTable(space, NAMES), SpaceTable(space, ("flops",))
    prices = [price(space.architecture(o), NAMES) for o in outcomes]
    table = both.costs(both.encode(outcomes))
    assert table[:, 1] == pytest.approx([p["energy"] for p in prices], rel=1e-12)
    assert table[:, 0].tolist() == [p["flops"] for p in prices]
    assert whole.costs(whole.encode(outcomes)).dtype == np.int64
    for outcome, found in zip(outcomes, prices, strict=True):
        one = both.cost(outcome)
        assert isinstance(one["flops"], int)
        assert (one["flops"], one["energy"]) == (found["flops"], pytest.approx(found["energy"], rel=1e-12))


@pytest.mark.slow
def test_a_network_is_verified_but_for_the_rounding_of_sums() -> None:
    layers = {"stage3.block2.expand": LayerChoice("dcd")}
    network = Architecture("mobilenetv2", {"width": 0.1}, layers, (1, 28, 28), 10)
    assert verified(network, NAMES)["energy"] == pytest.approx(EACH * price(network)["flops"])
