from __future__ import annotations

import math
import random

import pytest
import torch
from spaces import BACKBONE, HEAD, TINY, all_outcomes, compile_space, tiny

from dcdnas.core.geometry import Setting
from dcdnas.networks import build_network, slots_of
from dcdnas.space.pricing.cost import draw
from dcdnas.space.search_space import SearchSpace, _axes


def operators_of(space: SearchSpace, **outcome: object) -> dict[str, str]:
    """Slot -> operator; decisions are written with ``__`` for the dot."""
    named = {name.replace("__", "."): value for name, value in outcome.items()}
    return {slot: choice.operator for slot, choice in space.architecture(named).layers.items()}  # type: ignore[arg-type]


def with_slots(slots: str, more: str = "  expansion: 2\n") -> SearchSpace:
    return compile_space(f"{HEAD}{BACKBONE}{more}slots:\n{slots}")


@pytest.mark.parametrize("name", TINY)
def test_the_size_is_the_number_of_outcomes(name: str) -> None:
    space = tiny(name)
    assert space.size == len(list(all_outcomes(space)))


@pytest.mark.parametrize("name", TINY)
def test_every_outcome_is_a_network_whose_slots_all_have_their_operator(name: str) -> None:
    space = tiny(name)
    for outcome in all_outcomes(space):
        architecture = space.architecture(outcome)
        assert set(architecture.layers) <= {s.name for s in slots_of(architecture)}


@pytest.mark.parametrize("name", TINY)
def test_a_random_network_can_be_built(name: str) -> None:
    space = tiny(name)
    architecture = space.architecture(draw(space, random.Random(1)))
    built = build_network(architecture).eval()
    assert built(torch.zeros(1, *architecture.input)).shape == (1, architecture.classes)


@pytest.mark.parametrize(
    ("share", "groups"),
    [
        ("layer", ["stage1.block1.project", "stage2.block1.project", "stage2.block2.project"]),
        ("block", ["stage1.block1.project", "stage2.block1.project", "stage2.block2.project"]),
        ("stage", ["stage1.project", "stage2.project"]),
        ("network", ["project"]),
    ],
)
def test_slots_share_a_choice_as_the_file_says(share: str, groups: list[str]) -> None:
    space = with_slots(f'  "*.project": {{share: {share}, static: , dcd: }}\n')
    assert [g.name for g in space.groups] == groups


def test_slots_of_different_roles_share_one_choice_by_a_list_of_patterns() -> None:
    space = with_slots('  "*.expand, *.project": {share: block, static: , dcd: }\n')
    found = operators_of(space, stage2__depth=2, **{"stage2.block1.expand+project.operator": "dcd"})
    assert {slot for slot, operator in found.items() if operator == "dcd"} == {"stage2.block1.expand", "stage2.block1.project"}


def test_the_last_pattern_that_matches_decides() -> None:
    space = with_slots('  "*": {static: }\n  "*.project": {dcd: }\n  "stage2.block1.project": {odconv: }\n')
    found = operators_of(space, stage2__depth=2)
    assert found["stage1.block1.project"] == "dcd"
    assert found["stage2.block1.project"] == "odconv"
    assert found["stage2.block1.expand"] == "static"


def test_the_last_pattern_decides_for_settings_too() -> None:
    space = compile_space(f'{HEAD}{BACKBONE}  kernel_size: {{"*": 3, "stage2.*": 5, stage2.block2: 7}}\n')
    assert space.architecture({"stage2.depth": 2}).settings["kernel_size"] == ((3,), (5, 7))


def test_two_patterns_with_one_share_key_are_two_decisions() -> None:
    space = compile_space(f'{HEAD}{BACKBONE}  kernel_size: {{share: network, "stage1.*": [3, 5], "stage2.*": [5, 7]}}\n')
    found = {d.name: d.options for d in space.decisions}
    assert found["kernel_size"] == (3, 5)
    assert found["kernel_size@stage2.*"] == (5, 7)


def test_two_slot_patterns_with_one_share_key_are_two_groups() -> None:
    space = with_slots(
        '  "*.block1.project": {share: stage, static: , dcd: }\n  "*.block2.project": {share: stage, static: , odconv: }\n'
    )
    names = [g.name for g in space.groups]
    assert len(set(names)) == len(names) == 3


def test_a_block_that_may_not_exist_is_decided_only_where_it_does() -> None:
    space = with_slots('  "*.block2.project": {static: , dcd: }\n')
    decision = next(d for d in space.decisions if d.name == "stage2.block2.project.operator")
    assert (decision.parent, decision.when) == ("stage2.depth", (2,))


def test_a_choice_that_blocks_of_several_stages_share_exists_always() -> None:
    text = HEAD + BACKBONE.replace("stage1: 1", "stage1: [1, 2]") + '  kernel_size: {share: network, "*.block2": [3, 5]}\n'
    assert next(d for d in compile_space(text).decisions if d.name == "kernel_size").parent == ""


def test_decisions_that_do_not_exist_are_ignored() -> None:
    space = tiny("layer")
    shallow = {"stage2.depth": 1, "kernel_size": 3}
    assert space.architecture({**shallow, "stage2.block2.project.operator": "dcd"}) == space.architecture(shallow)


def test_missing_decisions_take_their_first_option() -> None:
    space = tiny("stage")
    assert space.architecture({}) == space.architecture(space.decide(lambda name, options: options[0]))


def test_an_operator_that_does_not_fit_a_slot_leaves_it_static() -> None:
    space = with_slots('  "stage2.*": {share: stage, ddf: }\n')
    found = operators_of(space)
    assert found["stage2.block1.depthwise"] == "ddf"
    assert found["stage2.block1.expand"] == "static"


def test_settings_are_resolved_for_their_slot() -> None:
    space = with_slots('  "*.project": {dcd: {num_blocks: 8, latent_dim: auto}}\n')
    layers = space.architecture({}).layers
    assert layers
    for choice in layers.values():
        assert isinstance(choice.settings["latent_dim"], int)
        assert set(choice.settings) > {"num_blocks", "reduction", "variant"}


def test_an_architecture_holds_all_settings_of_its_network() -> None:
    assert {"dropout", "stem_stride", "head_channels"} <= set(tiny("stage").architecture({}).settings)


def test_the_resolution_is_the_input() -> None:
    space = compile_space(HEAD + "resolution: [12, 16]\n" + BACKBONE)
    assert space.architecture({"resolution": 12}).input == (1, 12, 12)


@pytest.mark.parametrize("name", TINY)
def test_uniform_static_networks_are_static_and_allowed(name: str) -> None:
    space = tiny(name)
    outcomes = list(space.uniform_static())
    assert outcomes
    for outcome in outcomes:
        assert not space.forbids(outcome)
        assert {c.operator for c in space.architecture(outcome).layers.values()} <= {"static"}


def test_uniform_static_networks_have_static_activations_where_these_are_offered() -> None:
    searched = "  activation: {stage1: [dyrelu, relu], stage2: [silu, relu, dyshiftmax]}\n"
    text = f'{HEAD}{BACKBONE}{searched}slots:\n  "*.project": {{static: , dcd: }}\n'
    found = {tuple(v for k, v in o.items() if "activation" in k) for o in compile_space(text).uniform_static()}
    assert found == {("relu", "relu"), ("relu", "silu")}
    only = compile_space(text.replace("[dyrelu, relu]", "[dyrelu, dyshiftmax]"))
    assert {o["stage1.activation"] for o in only.uniform_static()} == {"dyrelu", "dyshiftmax"}


def test_a_space_whose_slots_are_all_dynamic_has_no_static_network() -> None:
    assert list(with_slots('  "*.project": {dcd: }\n').uniform_static()) == []


def test_uniform_networks_of_a_large_space_are_thinned() -> None:
    widths = ", ".join(str(round(0.1 + i / 100, 2)) for i in range(200))
    text = f"{HEAD}{BACKBONE}  width: [{widths}]\n  kernel_size: [1, 3, 5, 7, 9, 11]\n  expansion: [1, 2, 3, 4, 5, 6]\n"
    assert 500 < len(list(compile_space(text).uniform_static())) <= 4096


def test_the_smallest_and_the_largest_options_stay_where_uniform_networks_are_thinned() -> None:
    backbone = BACKBONE.replace("stage2: [1, 2]", f"stage2: {list(range(1, 13))}")
    searched = f"  width: {[n / 8 for n in range(1, 9)]}\n  kernel_size: [1, 3, 5, 7, 9, 11]\n  expansion: {list(range(2, 10))}\n"
    space = compile_space(f'{HEAD}{backbone}{searched}slots:\n  "*.project": {{static: , dcd: }}\n')
    assert {f"stage2.block{n}.project" for n in range(1, 13)} <= {slot for group in space.groups for slot in group.slots}
    outcomes = list(space.uniform_static())
    depths = {outcome["stage2.depth"] for outcome in outcomes}
    assert {1, 12} < depths < set(range(1, 13))
    largest = {outcome["width"]: outcome for outcome in outcomes}[1.0]
    assert (largest["stage2.depth"], max(v for k, v in largest.items() if "kernel_size" in k)) == (12, 11)


def test_many_settings_of_two_options_vary_together_and_words_are_all_there() -> None:
    values: dict[str, list[Setting]] = {f"s{n}": [n, n + 1] for n in range(12)} | {"a": [0, 1, 2, 3], "w": ["x", "y", "z"]}
    axes = _axes(values)
    assert math.prod(map(len, axes)) <= 4096
    found = {name: {options[name] for axis in axes for options in axis if name in options} for name in values}
    assert found == {name: set(options) for name, options in values.items()} | {"a": {0, 3}}
    every = [{name: options[at] for name, options in values.items()} for at in (0, -1)]
    assert [{k: v for axis in axes for k, v in axis[at].items()} for at in (0, -1)] == every


def test_the_digest_stays_and_depends_on_what_makes_the_networks() -> None:
    text = HEAD + BACKBONE + TINY["stage"]
    digest = compile_space(text).digest
    assert digest == compile_space(text.replace("name: tiny", "name: other")).digest
    assert digest != compile_space(text.replace("[3, 5]", "[5, 3]")).digest
    assert digest != compile_space(text.replace("num_kernels: [1, 2]", "num_kernels: [1, 3]")).digest
    assert digest != compile_space(text.replace("classes: 4", "classes: 5")).digest
    assert digest != compile_space(text + "forbid:\n  - {expansion: 2}\n").digest


def test_a_rule_holds_where_all_its_conditions_do() -> None:
    space = tiny("ruled")
    assert space.forbids({"width": 1.0, "stage2.kernel_size": 5}) == "width: 1.0, stage2.kernel_size: 5"
    assert not space.forbids({"width": 0.5, "stage2.kernel_size": 5})


def test_a_pattern_in_a_rule_holds_where_one_of_its_decisions_does() -> None:
    assert tiny("ruled").forbids({"stage2.project.operator": "dcd", "stage1.kernel_size": 3})


def test_no_draw_is_forbidden() -> None:
    space, rng = tiny("ruled"), random.Random(0)
    assert not any(space.forbids(draw(space, rng)) for _ in range(200))
