"""The uniform static networks that every search trains first."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from energy import EACH, ENERGY, NOTATION, energy_known
from spaces import BACKBONE, HEAD, compile_space, tiny

from dcdnas.core.budget import Budget, within
from dcdnas.cost import price
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import priced
from dcdnas.space.pricing.ladder import static_ladder


def test_it_has_the_dearest_the_cheapest_and_two_evenly_between() -> None:
    space, budget = load_space("fashion-quick"), Budget("flops", 1_000_000)
    ladder = static_ladder(space, [budget])
    costs = [p.cost["flops"] for p in ladder]
    every = [priced(space, o).cost for o in space.uniform_static()]
    fitting = sorted(c["flops"] for c in every if within(c, [budget]))
    assert costs[:2] == [fitting[-1], fitting[0]]
    for rung, cost in enumerate(costs[2:], 1):
        wanted = math.log(fitting[0]) + rung / 3 * math.log(fitting[-1] / fitting[0])
        assert cost == min(fitting, key=lambda c: abs(math.log(c) - wanted))
    assert len(ladder) == 4


def test_its_networks_are_static_uniform_and_within_the_budget() -> None:
    space, budget = load_space("fashion-quick"), Budget("flops", 600_000)
    outcomes = [dict(o) for o in space.uniform_static()]
    for rung in static_ladder(space, [budget]):
        assert within(rung.cost, [budget])
        assert {c.operator for c in rung.architecture.layers.values()} == {"static"}
        assert dict(rung.decisions) in outcomes


def test_its_first_is_the_dearest_that_fits() -> None:
    space = tiny("stage")
    costs = sorted(priced(space, o).cost["flops"] for o in space.uniform_static())
    for at_most in (costs[len(costs) // 2], 10**9):
        found = static_ladder(space, [Budget("flops", at_most)])[0]
        assert found.cost["flops"] == max(cost for cost in costs if cost <= at_most)


def test_a_space_with_one_static_network_has_one_rung() -> None:
    space = compile_space(
        HEAD
        + BACKBONE.replace("[1, 2]}", "1}")
        + "  width: 1.0\n  kernel_size: 3\n  expansion: 2\nslots:\n  stage1.block1.project:\n    static:\n    dcd:\n"
    )
    assert len(static_ladder(space, [])) == 1


@pytest.mark.parametrize("most", [1, 2])
def test_nothing_within_the_budget_is_no_ladder(most: int) -> None:
    assert static_ladder(tiny("stage"), [Budget("flops", most)]) == []


def test_the_cost_has_the_metrics_that_are_asked_for() -> None:
    assert "weights" in static_ladder(tiny("stage"), [], ["weights"])[0].cost.values


def test_rungs_of_a_metric_of_fractions_are_even_where_the_cheapest_costs_nothing() -> None:
    space = load_space("fashion-quick")
    flops = sorted({priced(space, o).cost["flops"] for o in space.uniform_static()})
    joules = {found: EACH * (found - flops[0]) for found in flops}
    free = replace(ENERGY, of_network=lambda a: joules.get(price(a)["flops"], 1.0), of_slot=lambda slot, choice: None)
    with energy_known(free):
        costs = [p.cost["energy"] for p in static_ladder(space, [Budget("energy", 2 * max(joules.values()))])]
    least, most = NOTATION.least, max(joules.values())
    wanted = [math.log(least) + rung / 3 * math.log(most / least) for rung in (1, 2)]
    between = [min(joules.values(), key=lambda c: abs(math.log(c or least) - w)) for w in wanted]
    assert costs == list(dict.fromkeys([most, 0.0, *between]))
    assert len(costs) == 3


@pytest.mark.parametrize("metric", ["kernel-memory", "params"])
def test_of_networks_of_equal_cost_the_one_with_the_most_flops_is_the_reference(metric: str) -> None:
    """No static network has kernel memory, and networks that differ in resolution have the same parameters."""
    space = compile_space(
        HEAD
        + "resolution: [12, 16, 24]\n"
        + BACKBONE.replace("[1, 2]}", "1}")
        + "  width: 1.0\n  kernel_size: 3\n  expansion: 2\nslots:\n  stage1.block1.project:\n    static:\n    dcd:\n"
    )
    every = sorted(priced(space, o).cost["flops"] for o in space.uniform_static())
    found = static_ladder(space, [Budget(metric, 1_000_000)])
    assert len({p.cost[metric] for p in found}) == 1
    assert [p.cost["flops"] for p in found] == [every[-1], every[0], every[1]]
