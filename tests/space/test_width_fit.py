"""`width: fit`: every network uses its budget, to the nearest step that there is."""

from __future__ import annotations

import random
from functools import cache
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thoroughness import examples, slow_but

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget, parse_budgets
from dcdnas.core.yaml_lines import parse_yaml
from dcdnas.cost import notations, price
from dcdnas.errors import NothingFitsError, SpaceError, UsageError
from dcdnas.networks._base import make_divisible
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import check_budgets, draw, draws_within, largest, priced, smallest
from dcdnas.space.pricing.coverage import fit
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.search_space import SearchSpace
from dcdnas.space.width_fit import GOAL, STEP, _largest_within

TEXT = """\
format: dcdnas/space-1
name: fitted
network: mobilenetv2
input: [1, 16, 16]
classes: 4
settings:
  channels: [8, 16]
  strides: [1, 2]
  stem_channels: 8
  head_channels: 32
  width: WIDTH
  depth: {stage1: 1, stage2: [1, 2]}
  kernel_size: {share: network, "*": [3, 5]}
  expansion: {share: network, "*": [2, 3]}
slots:
  "*.expand, *.project":
    share: stage
    static:
    odconv: {num_kernels: [1, 2]}
    dcd: {latent_dim: [half, auto], num_blocks: [1, 4]}
"""


def space_of(width: str = "{fit: [0.2, 6]}") -> SearchSpace:
    return Compiler(parse_yaml(TEXT.replace("WIDTH", width), "space.yaml")).space()


@cache
def filling(at_most: float, metric: str = "flops") -> SearchSpace:
    return space_of().filling([Budget(metric, at_most)])


def at_width(space: SearchSpace, outcome: dict[str, object], number: int) -> Architecture:
    """The same network at another width of the grid, as an ordinary space has it."""
    fixed = space_of(str(round(number * STEP, 2)))
    return fixed.architecture(outcome)  # type: ignore[arg-type]


@examples(40)
@given(st.integers(0, 10**6), st.sampled_from([2e5, 4e5, 7e5]))
def test_no_wider_network_of_the_grid_is_within_the_budget(seed: int, at_most: float) -> None:
    space = filling(at_most)
    found = priced(space, draw(space, random.Random(seed)))
    number = round(found.architecture.settings["width"] / STEP)  # type: ignore[operator]
    assert found.cost["flops"] <= at_most or number == round(0.2 / STEP)
    assert number == round(6 / STEP) or price(at_width(space, dict(found.decisions), number + 1))["flops"] > at_most


@pytest.mark.parametrize("at_most", [8e4])
def test_what_uses_less_than_the_goal_could_not_be_made_a_step_wider(at_most: float) -> None:
    """Unless the widest width that the file allows is reached: then nothing is widened."""
    space = filling(at_most)
    found = [priced(space, draw(space, random.Random(seed))) for seed in range(150)]
    under = [p for p in found if p.cost["flops"] < GOAL * at_most and p.architecture.settings["width"] != 6]
    assert under
    for p in under:
        width, stages = p.architecture.settings["width"], p.architecture.settings["channels"]
        for stage, channels in enumerate(stages):  # type: ignore[arg-type]
            more = next(c for c in range(channels, 999) if make_divisible(c * width) > make_divisible(channels * width))
            wider = {**p.architecture.settings, "channels": (*stages[:stage], more, *stages[stage + 1 :])}  # type: ignore[index]
            changed = Architecture("mobilenetv2", wider, p.architecture.layers, (1, 16, 16), 4)
            assert price(changed)["flops"] > at_most


def test_most_networks_use_nearly_all_of_the_budget_though_their_operators_differ() -> None:
    space = filling(1.5e6)
    found = [priced(space, draw(space, random.Random(seed))) for seed in range(100)]
    assert sum(GOAL <= p.cost["flops"] / 1.5e6 <= 1 for p in found) >= 95
    assert len({p.architecture.settings["width"] for p in found}) > 10


@pytest.mark.slow
def test_parameters_can_be_filled_too() -> None:
    space = filling(6e4, "params")
    found = [priced(space, draw(space, random.Random(seed))).cost["params"] for seed in range(50)]
    assert sum(GOAL <= cost / 6e4 <= 1 for cost in found) >= 40


BACKBONES = {
    "mobilenetv2": ("se: [0, 0.25]", "*.expand, *.project", "4MFLOPs"),
    "mobilenetv3": ("se: [0, 0.25]\n  embedding: 48", "*.expand, *.project", "4MFLOPs"),
    "shufflenetv2": ("se: [0, 0.5]\n  stem: medium", "*.reduce, *.project", "4MFLOPs"),
}


@pytest.mark.parametrize("network", slow_but(["mobilenetv2", "mobilenetv3"], BACKBONES))
def test_every_backbone_with_gates_uses_its_budget(network: str) -> None:
    more, slots, budget = BACKBONES[network]
    text = TEXT.replace("WIDTH", "{fit: [0.2, 9]}").replace("network: mobilenetv2", f"network: {network}")
    text = text.replace('"*.expand, *.project"', f'"{slots}"').replace("  stem_channels: 8", f"  stem_channels: 8\n  {more}")
    space = (
        Compiler(parse_yaml(text.replace("[1, 16, 16]", "[3, 32, 32]"), "space.yaml"))
        .space()
        .filling(parse_budgets([budget], notations()))
    )
    found = [priced(space, draw(space, random.Random(seed))) for seed in range(40)]
    assert {p.decisions["stage1.block1.se"] for p in found} == {0, float(more.split("]")[0].split(", ")[1])}
    assert all(GOAL <= p.cost["flops"] / 4e6 <= 1 for p in found)
    assert all(price(p.architecture) == p.cost for p in found)


def test_a_backbone_without_a_last_convolution_uses_its_budget() -> None:
    text = TEXT.replace("WIDTH", "{fit: [0.2, 9]}").replace("network: mobilenetv2", "network: resnet")
    text = text.replace("  head_channels: 32\n", "").replace('"*.expand, *.project"', '"*.conv1, *.conv2"')
    space = Compiler(parse_yaml(text, "space.yaml")).space().filling([Budget("flops", 2e6)])
    found = [priced(space, draw(space, random.Random(seed))) for seed in range(20)]
    assert all(p.cost["flops"] <= 2e6 and price(p.architecture) == p.cost for p in found)
    assert any(p.architecture.settings["channels"] != (8, 16) for p in found)  # a stage was widened beyond the width


@pytest.mark.parametrize("budget", slow_but(["2MFLOPs"], ["2MFLOPs", "4MFLOPs", "8MFLOPs"]))
def test_every_draw_of_the_space_that_ships_uses_its_budget(budget: str) -> None:
    budgets = parse_budgets([budget], notations())
    space = load_space("fashion-fit").filling(budgets)
    found = [priced(space, draw(space, random.Random(seed))) for seed in range(30)]
    assert [p for p in found if not GOAL <= p.cost["flops"] / budgets[0].at_most <= 1] == []
    assert {c.operator for p in found for c in p.architecture.layers.values()} == {"static", "dcd", "odconv"}


def test_the_solver_finds_the_last_number_within_in_few_steps() -> None:
    for bound in (3.0, 99.0, 12_345.0, 159_999.0, 160_000.0, 1e6):
        for power in (0.5, 1, 2, 3):
            asked: list[int] = []

            def cost(number: int, power: float = power, asked: list[int] = asked) -> float:
                asked.append(number)
                return float((number // 7 * 7 + 1) ** power)

            number, used = _largest_within(cost, 1, 400, bound)
            assert used == cost(number)
            assert number == max((n for n in range(1, 401) if cost(n) <= bound), default=1)
            assert len(asked[: asked.index(number) + 1]) <= 2 + 2 * 9


def test_the_solved_width_is_stored_and_rebuilds_the_network() -> None:
    space = filling(1.5e6)
    made = space.architecture(draw(space, random.Random(0)))
    assert "width" not in {d.name for d in space.decisions}
    assert Architecture.from_dict(made.to_dict()) == made
    wider = filling(2.5e6).architecture(draw(space, random.Random(0)))
    assert wider.settings["width"] > made.settings["width"]  # type: ignore[operator]
    assert wider.digest != made.digest
    assert filling(2.5e6).digest != space.digest


def test_without_a_budget_the_message_says_to_give_one() -> None:
    with pytest.raises(
        UsageError, match=r"the width in fitted is fitted to a budget of FLOPs or parameters\. Give such a budget"
    ):
        space_of().filling([])
    with pytest.raises(UsageError, match=r"fitted to a budget\. Give one, like `-b 2MFLOPs`"):
        space_of().architecture({})


def test_a_space_with_ordinary_widths_is_left_as_it_is() -> None:
    space = space_of("[0.5, 1]")
    assert space.filling(parse_budgets(["1MFLOPs"], notations())) is space


@pytest.mark.parametrize("width", ["{fit: 3}", "{fit: [2, 1]}", "{fit: [0, 1]}", "{fit: [1]}", "{fit: [a, 2]}"])
def test_bounds_that_are_none_are_told_with_their_line(width: str) -> None:
    with pytest.raises(SpaceError, match=r"space.yaml:11: settings.width.fit: cannot be .* like `fit: \[0.25, 2\]`"):
        space_of(width)


def test_nothing_stands_beside_fit() -> None:
    with pytest.raises(SpaceError, match="`fit` allows no other key beside it"):
        space_of('{fit: [0.5, 2], "*": 1}')


def test_the_ends_of_the_space_are_those_of_its_narrowest_and_widest_networks() -> None:
    space = filling(1.5e6)
    assert smallest(space, "flops").cost == smallest(space_of("0.2"), "flops").cost
    assert largest(space, "flops").cost == largest(space_of("6.0"), "flops").cost


def test_a_budget_below_the_narrowest_network_names_its_cost() -> None:
    space = space_of().filling(parse_budgets(["1kFLOPs"], notations()))
    with pytest.raises(NothingFitsError, match="no network of fitted meets flops <= 1 kFLOPs: its smallest has"):
        check_budgets(space, parse_budgets(["1kFLOPs"], notations()))


@pytest.mark.slow
def test_a_check_says_how_many_networks_fill_the_budget() -> None:
    budgets = parse_budgets(["1.5MFLOPs"], notations())
    found = fit(filling(1.5e6), budgets)
    assert found.filled is not None
    assert found.filled.value > 0.9
    assert found.share.value > 0.99
    assert fit(space_of("1.0"), budgets).filled is None


def test_draws_hold_further_budgets_too() -> None:
    budgets = parse_budgets(["1.5MFLOPs", "60kparams"], notations())
    space = space_of().filling(budgets)
    drawn = list(islice(draws_within(space, budgets, random.Random(0)), 10))
    assert len(drawn) == 10
    for found in drawn:
        assert found.cost["flops"] <= 1.5e6
        assert found.cost["params"] <= 6e4
