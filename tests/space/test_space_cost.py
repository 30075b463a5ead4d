from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest
from spaces import BACKBONE, HEAD, TINY, all_outcomes, compile_space, tiny
from thoroughness import slow_but

from dcdnas.core.budget import Budget, parse_budgets, within
from dcdnas.cost import notations, price
from dcdnas.errors import NothingFitsError, UsageError
from dcdnas.space.pricing.cost import (
    Priced,
    Share,
    as_bound,
    check_budgets,
    draws_within,
    largest,
    priced,
    share_within,
    smallest,
)
from dcdnas.space.pricing.coverage import fit
from dcdnas.space.pricing.draws import Draws
from dcdnas.space.pricing.tree import Chances, tree_of
from dcdnas.space.search_space import SearchSpace


def everything(space: SearchSpace) -> list[tuple[Priced, float]]:
    """All networks with the chance that deciding at random, one decision after the other, comes to them."""
    found = []
    options = {d.name: len(d.options) for d in space.decisions}
    for outcome in all_outcomes(space):
        chance = 1.0
        for name in outcome:
            chance /= options[name]
        found.append((priced(space, outcome), chance))
    total = sum(chance for _, chance in found)
    return [(p, chance / total) for p, chance in found]


def middle(space: SearchSpace, share: float = 0.5) -> Budget:
    costs = sorted(p.cost["flops"] for p, _ in everything(space))
    return Budget("flops", costs[int(share * len(costs))])


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        pytest.param(n, m, marks=[pytest.mark.slow] * (m == "activations" or (m != "flops" and n != "gated")))
        for n in TINY
        for m in ("flops", "params", "kernel-memory", "activations")
    ],
)
def test_the_smallest_and_the_largest_are_those_of_all_networks(name: str, metric: str) -> None:
    space = tiny(name)
    costs = [price(p.architecture, (metric,))[metric] for p, _ in everything(space)]
    assert smallest(space, metric).cost[metric] == min(costs)
    assert largest(space, metric).cost[metric] == max(costs)


WORDS = "settings:\n  channels: [8, 16]\n  strides: [1, 2]\n  stem_channels: 8\n  depth: 1\n"
WITHOUT_A_TREE = {
    "nas-bench-macro": f'head: decoder\n{WORDS}  block: {{share: stage, "*": [ir-3x3-t3, ir-5x5-t6, identity]}}\n',
    "resnet": f"{WORDS}  block: [bottleneck, basic]\n  stem: [small, imagenet, medium]\n"
    'slots:\n  "*.conv2, *.spatial":\n    share: network\n    static:\n    kernel-warehouse: {share: network}\n',
}


@pytest.mark.parametrize("network", WITHOUT_A_TREE)
def test_the_ends_of_a_space_without_a_tree_have_the_cheapest_and_the_most_expensive_words(network: str) -> None:
    space = compile_space(HEAD.replace("mobilenetv2", network) + WITHOUT_A_TREE[network])
    assert tree_of(space, "flops") is None
    costs = [p.cost["flops"] for p, _ in everything(space)]
    assert smallest(space, "flops").cost["flops"] == min(costs)
    assert largest(space, "flops").cost["flops"] == max(costs)


@pytest.mark.parametrize("name", TINY)
def test_the_smallest_is_no_forbidden_network(name: str) -> None:
    space = tiny(name)
    assert not space.forbids(smallest(space, "flops").decisions)


@pytest.mark.parametrize("name", TINY)
def test_the_share_lies_between_its_bounds(name: str) -> None:
    space = tiny(name)
    budget, tree = middle(space), tree_of(space, "flops")
    assert tree is not None
    exact = sum(chance for p, chance in everything(space) if within(p.cost, [budget]))
    low, high = Draws(tree, budget).bounds
    assert low - 1e-9 <= exact <= high + 1e-9
    assert high - low < 0.2


@pytest.mark.parametrize("name", TINY)
def test_the_networks_are_counted_exactly(name: str) -> None:
    space = tiny(name)
    tree = tree_of(space, "flops")
    assert tree is not None
    different = {p.architecture.digest for p, _ in everything(space)}
    counted = Draws(tree, Budget("flops", 1e12), "networks").all
    # where a group's places depend on what its blocks decide, some networks are counted twice, and drawn half as often
    assert counted >= len(different)
    if name != "block":
        assert counted == len(different)


@pytest.mark.parametrize("chances", slow_but(["networks"], ["operators", "networks"]))
@pytest.mark.parametrize("name", slow_but(["layer"], TINY))
def test_draws_have_exactly_their_chances(name: str, chances: Chances) -> None:
    space = tiny(name)
    budget = middle(space)
    expected: Counter[str] = Counter()
    for p, chance in everything(space):
        if within(p.cost, [budget]):
            digest = p.architecture.digest
            expected[digest] = 1 if chances == "networks" else expected[digest] + chance  # type: ignore[assignment]
    total, draws = sum(expected.values()), 2500
    drawn = Counter(
        p.architecture.digest for p in islice(draws_within(space, [budget], random.Random(1), chances=chances), draws)
    )
    assert set(drawn) <= set(expected)
    statistic = sum((drawn[d] - draws * e / total) ** 2 / (draws * e / total) for d, e in expected.items())
    freedom = len(expected) - 1
    assert statistic < freedom + 5 * (2 * freedom) ** 0.5  # chi-squared: mean + 5 standard deviations


@pytest.mark.parametrize("name", TINY)
def test_every_draw_is_within_all_budgets(name: str) -> None:
    space = tiny(name)
    params = sorted(p.cost["params"] for p, _ in everything(space))
    budgets = [middle(space, 0.6), Budget("params", params[len(params) // 2], params[len(params) // 10])]
    drawn = list(islice(draws_within(space, budgets, random.Random(2)), 50))
    assert len(drawn) == 50
    assert all(within(p.cost, budgets) and not space.forbids(p.decisions) for p in drawn)


def test_draws_end_at_once_when_nothing_can_be_within() -> None:
    assert list(draws_within(tiny("stage"), [Budget("flops", 10.0)], random.Random(0))) == []


def test_draws_end_when_they_only_miss() -> None:
    space = tiny("stage")
    budgets = [Budget("flops", smallest(space, "flops").cost["flops"]), Budget("params", 1.0)]
    assert list(draws_within(space, budgets, random.Random(0), tries=20)) == []


def test_draws_repeat_for_a_seed() -> None:
    space = tiny("block")
    one, two = ([p.architecture for p in islice(draws_within(space, [middle(space)], random.Random(5)), 10)] for _ in range(2))
    assert one == two


def test_a_space_that_cannot_be_counted_is_drawn_from_by_rejection() -> None:
    widths = ", ".join(str(w / 100) for w in range(50, 100))
    expansions = ", ".join(str(e / 10) for e in range(10, 40))
    space = compile_space(
        f'{HEAD}{BACKBONE}  width: [{widths}]\n  kernel_size: {{share: network, "*": [1, 3, 5, 7, 9, 11]}}\n'
        f'  expansion: {{share: network, "*": [{expansions}]}}\nslots:\n  "*.project": {{static: , dcd: }}\n'
    )
    assert tree_of(space, "flops") is None
    budget = Budget("flops", smallest(space, "flops").cost["flops"] * 3)
    assert len(list(islice(draws_within(space, [budget], random.Random(0)), 5))) == 5
    with pytest.raises(UsageError, match="cannot be counted"):
        next(draws_within(space, [budget], random.Random(0), chances="networks"))


def test_the_share_is_estimated_with_an_interval_that_holds_it() -> None:
    space = tiny("stage")
    budget = middle(space, 0.1)
    exact = sum(chance for p, chance in everything(space) if within(p.cost, [budget]))
    share = share_within(space, [budget], draws=400)
    assert share.interval[0] <= exact <= share.interval[1]
    assert share.interval[1] - share.interval[0] < 0.1 * exact + 0.02


def test_all_of_a_space_is_within_no_budget() -> None:
    assert share_within(tiny("stage"), [], draws=20).value == 1.0


def test_a_budget_below_the_smallest_names_its_cost() -> None:
    with pytest.raises(NothingFitsError, match=r"its smallest has 49\.0 kFLOPs\. Raise the budget"):
        check_budgets(tiny("stage"), parse_budgets(["1kFLOPs"], notations()))


@pytest.mark.parametrize(
    ("metric", "value", "upper", "lower"),
    [
        ("flops", 188_400, "188.4 kFLOPs", "188 kFLOPs"),
        ("flops", 160_624, "161 kFLOPs", "160.6 kFLOPs"),
        ("params", 3474, "3.474 kparams", "3.47 kparams"),
        ("weights", 34_567, "33.8 KiB", "33.7568 KiB"),
        ("flops", 49_000, "49 kFLOPs", "49 kFLOPs"),
    ],
)
def test_a_cost_that_is_named_as_a_bound_is_met_by_its_network(metric: str, value: int, upper: str, lower: str) -> None:
    assert (as_bound(metric, value), as_bound(metric, value, lower=True)) == (upper, lower)
    high, low = (parse_budgets([f"{metric}<={text}"], notations())[0].at_most for text in (upper, lower))
    assert low <= value <= high


def test_the_budget_to_which_one_is_to_be_raised_is_met() -> None:
    for name in TINY:
        for metric in ("flops", "params"):
            with pytest.raises(NothingFitsError) as caught:
                check_budgets(tiny(name), parse_budgets([f"{metric}<=10"], notations()))
            named = str(caught.value).partition("its smallest has ")[2].partition(". Raise")[0]
            check_budgets(tiny(name), parse_budgets([f"{metric}<={named}"], notations()))


def test_a_lower_bound_above_the_largest_names_its_cost() -> None:
    with pytest.raises(NothingFitsError, match="its largest has"):
        check_budgets(tiny("stage"), parse_budgets(["1-2GFLOPs"], notations()))


def test_every_budget_that_nothing_meets_is_told() -> None:
    with pytest.raises(NothingFitsError) as caught:
        check_budgets(tiny("stage"), parse_budgets(["1kFLOPs", "10params"], notations()))
    assert len(str(caught.value).splitlines()) == 2


def test_a_budget_above_the_largest_bounds_nothing() -> None:
    assert "bounds nothing" in check_budgets(tiny("stage"), parse_budgets(["1GFLOPs"], notations()))[0]


def test_budgets_that_exclude_each_other_say_how_near_they_come() -> None:
    space = tiny("stage")
    most = largest(space, "flops").cost["flops"]
    least = smallest(space, "params").cost["params"]
    with pytest.raises(NothingFitsError, match="nearest to params"):
        check_budgets(space, [Budget("flops", most, 0.95 * most), Budget("params", 1.1 * least)])


@pytest.mark.parametrize("name", slow_but(["stage", "layer", "ruled"], TINY))
def test_options_that_never_fit_are_those_that_no_network_within_has(name: str) -> None:
    """Nothing is said of decisions that no such network has: the option that they depend on is named."""
    space = tiny(name)
    budget = middle(space, 0.15)
    inside = [p.decisions for p, _ in everything(space) if within(p.cost, [budget])]
    result = fit(space, [budget])
    for decision in space.decisions:
        seen = {o[decision.name] for o in inside if decision.name in o}
        unseen = [option for option in decision.options if option not in seen]
        assert list(result.never.get(decision.name, ())) == (unseen if seen else [])
        assert (decision.name in result.forced) == (len(seen) == 1)


def test_the_median_is_near_that_of_random_networks() -> None:
    space = tiny("stage")
    rng = random.Random(0)
    costs = sorted(p.cost["flops"] for p in islice(draws_within(space, [], rng), 801))
    found = next(r for r in fit(space, []).ranges if r.metric == "flops")
    assert found.median == pytest.approx(costs[400], rel=0.1)


def test_a_budget_on_one_metric_bounds_the_share_for_certain() -> None:
    space = tiny("stage")
    share = share_within(space, [Budget("flops", 1e12)], draws=10)
    assert share.value == pytest.approx(1.0)
    assert share.interval[0] == pytest.approx(1.0)


def test_the_interval_of_a_share_holds_the_share() -> None:
    for inside in range(11):
        share = Share(inside, 10, (0.05, 0.5))
        low, high = share.interval
        assert 0.05 <= low <= share.value <= high <= 0.5
