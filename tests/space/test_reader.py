from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from spaces import BACKBONE, HEAD, TINY, compile_space

from dcdnas.core.yaml_lines import Document, parse_yaml
from dcdnas.cost import price, verified
from dcdnas.errors import FileError, SpaceError
from dcdnas.space.reading.reader import Compiler, read_space

GOOD = HEAD + BACKBONE + TINY["stage"]


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SpaceError) as caught:
        compile_space(text)
    return caught.value.problems


def only(text: str) -> str:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def decision_names(text: str) -> set[str]:
    return {d.name for d in compile_space(text).decisions}


def test_a_good_file_is_a_space(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    assert read_space(path).name == "tiny"


def test_plain_data_compiles_without_lines() -> None:
    data = parse_yaml(GOOD, "x").data
    assert Compiler(Document("search.yaml", data, {})).space().size == compile_space(GOOD).size


def test_a_mistyped_operator_suggests_the_nearest_with_its_line() -> None:
    text = GOOD.replace("    odconv: {", "    odcon: {")
    line = text.splitlines().index("    odcon: {num_kernels: [1, 2]}") + 1
    found = only(text)
    assert found.startswith(f"space.yaml:{line}: slots.*.expand, *.project.odcon: ")
    assert "Did you mean 'odconv'?" in found


def test_a_value_that_is_never_legal_says_what_is() -> None:
    found = only(GOOD.replace("    dcd:\n", "    dcd:\n      num_blocks: 3\n"))
    assert "slots.*.depthwise.dcd.num_blocks: num_blocks cannot be 3. Allowed: a power of two" in found


def test_a_value_that_no_slot_can_use_says_what_they_can() -> None:
    text = f'{HEAD}{BACKBONE}  expansion: 2\nslots:\n  "*.project":\n    dcd: {{num_blocks: [2, 64]}}\n'
    found = only(text)
    assert "dcd.num_blocks: no slot of this pattern can use 64. Allowed: " in found
    assert "8" in found.rpartition("Allowed: ")[2]


def test_a_word_that_no_slot_can_use_is_told() -> None:
    found = only(f'{HEAD}{BACKBONE}slots:\n  "*.project":\n    dcd: {{kernel_form: [one_hot, tensor]}}\n')
    assert "no slot of this pattern can use 'tensor'. Allowed: one_hot." in found


def test_a_setting_that_makes_the_operator_unfit_is_told_and_not_raised() -> None:
    found = only(f'{HEAD}{BACKBONE}slots:\n  "*.depthwise":\n    dcd: {{variant: [paper, code]}}\n')
    assert "no slot of this pattern can use 'code'. Allowed: paper." in found


def test_an_operator_that_fits_no_slot_says_which_rule() -> None:
    assert "ddf fits none of these slots: " in only(f'{HEAD}{BACKBONE}slots:\n  "*.project":\n    ddf:\n')


def test_an_operator_without_a_form_for_the_classifier_says_which_have_one() -> None:
    found = only(f"{HEAD}{BACKBONE}slots:\n  classifier:\n    static:\n    odconv:\n")
    hint = "Allowed there: condconv, dcd, kernel-warehouse, static."
    assert f"slots.classifier.odconv: odconv has no form for a linear classifier. {hint}" in found


def test_only_its_name_opens_the_classifier() -> None:
    assert "classifier.operator" not in decision_names(f'{HEAD}{BACKBONE}slots:\n  "*":\n    static:\n    odconv:\n')
    body = f"{HEAD}{BACKBONE}slots:\n  classifier:\n    static:\n    dcd: {{latent_dim: [auto, half]}}\n    condconv:\n"
    assert decision_names(body) >= {"classifier.operator", "classifier.dcd.latent_dim"}


def test_a_searched_classifier_costs_what_its_network_measures() -> None:
    space = compile_space(
        f"{HEAD}{BACKBONE}slots:\n  classifier:\n    static:\n    dcd:\n    condconv: {{num_experts: [2, 4]}}\n"
    )
    for operator in ("static", "dcd", "condconv"):
        found = space.architecture({"stage2.depth": 1, "classifier.operator": operator, "classifier.condconv.num_experts": 4})
        assert found.layers["classifier"].operator == operator
        assert verified(found, ("flops", "params")).values == price(found).values


def test_a_slot_pattern_that_matches_nothing_says_what_slots_are_called() -> None:
    found = only(f'{HEAD}{BACKBONE}slots:\n  "*.projct":\n    static:\n')
    assert "matches no slot. Did you mean '*.*.project'?" in found


def test_a_pattern_that_later_ones_hide_is_noted_with_its_line() -> None:
    text = (
        f'{HEAD}{BACKBONE}  kernel_size: {{"stage1.*": 3, "*": [3, 5]}}\n  expansion: {{"*": 2, "stage1.*": 3}}\n'
        'slots:\n  "*.depthwise":\n    static:\n    dcd:\n  "stage1.*":\n    static:\n  "*.*.*":\n    static:\n    odconv:\n'
    )
    first, second = (text.splitlines().index(f'  "{pattern}":') + 1 for pattern in ("*.depthwise", "stage1.*"))
    effect = "the pattern has no effect, because later ones match all that it matches. Move it behind them."
    setting, *slots = compile_space(text).notes
    assert slots == [f"space.yaml:{first}: slots.*.depthwise: {effect}", f"space.yaml:{second}: slots.stage1.*: {effect}"]
    assert re.fullmatch(rf"space\.yaml:\d+: settings\.kernel_size\.stage1\.\*: {re.escape(effect)}", setting)
    assert compile_space(GOOD).notes == ()


def test_one_of_several_patterns_that_matches_nothing_is_an_error() -> None:
    found = only(f'{HEAD}{BACKBONE}slots:\n  "*.expand, *.projct":\n    static:\n    odconv:\n')
    assert "slots.*.expand, *.projct: '*.projct' in the pattern matches no slot. Did you mean '*.*.project'?" in found
    found = only(f'{HEAD}{BACKBONE}  kernel_size: {{"stage1.*, stage3.*": [3, 5]}}\n')
    assert (
        "settings.kernel_size.stage1.*, stage3.*: 'stage3.*' in the pattern matches nothing. It can match: stage1.block1" in found
    )
    assert compile_space(f'{HEAD}{BACKBONE}slots:\n  "*.expand, *.project,":\n    static:\n    odconv:\n').size > 1


def test_a_combination_without_values_is_an_error() -> None:
    found = only(f"{HEAD}{BACKBONE}  width: [1.0, 2.0]\nforbid:\n  - {{width: []}}\n")
    assert "forbid.0.width: no values are given, so the combination would never occur. Name at least one." in found


def test_stages_beyond_the_backbones_own_have_no_depth_of_their_own() -> None:
    nine = {"channels": [8] * 9, "strides": [1] * 9, "expansion": 1, "depth": {"stage1": 1}}
    content = {"format": "dcdnas/space-1", "name": "x", "network": "mobilenetv2", "input": [3, 12, 12], "classes": 5}
    with pytest.raises(SpaceError, match=r"settings.depth: depth has 7 values for 9 stages. Give one value for all, or 9."):
        Compiler(Document("x", {**content, "settings": nine}, {})).space()


@pytest.mark.parametrize(
    ("settings", "name", "values"),
    [
        ({"kernel_size": {"stage1.*": 5}}, "kernel_size", ((5, 5), (3, 3))),
        ({"se": {"stage2.*": [0.25, 0]}}, "se", ((0, 0), (0.25, 0.25))),
        ({"depth": {"stage2": [3, 1]}}, "depth", (1, 3)),
        ({"activation": {"stage1": "silu"}}, "activation", ("silu", "relu6")),
        ({"context": {"stage2": {"hamburger": {"rank": 2}}}}, "hamburger_rank", (0, 2)),
    ],
)
def test_what_no_pattern_matches_has_the_backbones_own_value(settings: dict[str, Any], name: str, values: Any) -> None:
    plain = {"channels": [8, 16], "strides": [1, 2], "depth": 2}
    content = {"format": "dcdnas/space-1", "name": "x", "network": "mobilenetv2", "input": [3, 12, 12], "classes": 5}
    space = Compiler(Document("x", {**content, "settings": plain | settings}, {})).space()
    found = space.architecture(space.decide(lambda _, options: options[0])).settings
    assert found[name] == values


def test_a_setting_pattern_that_matches_nothing_says_what_it_can() -> None:
    assert "It can match: stage1, stage2." in only(GOOD.replace("stage2: [1, 2]", "stage2: [1, 2], stage9: 3"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("network: mobilenetv2", "network: mobilnetv2", "Did you mean 'mobilenetv2'?"),
        ("network: mobilenetv2\n", "", "the key 'network' is missing"),
        ("format: dcdnas/space-1", "format: dcdnas/space-9", "should be 'dcdnas/space-1'"),
        ("classes: 4", "classes: 4.0", "valid integer"),
        ("classes: 4", 'classes: "4"', "valid integer"),
        ("classes: 4", "classes: true", "valid integer"),
        ("classes: 4", "classes: 0", "greater than or equal to 1"),
        ("classes: 4", "clases: 4\nclasses: 4", "Did you mean 'classes'?"),
        ("input: [1, 16, 16]", "input: [1, 16]", "missing"),
        ("input: [1, 16, 16]", "input: 16", "valid tuple"),
        ("input: [1, 16, 16]", "input: [1, 16, 0]", "greater than 0"),
        ("stem_channels: 8", "stem_chanels: 8", "Did you mean 'stem_channels'?"),
        ("strides: [1, 2]", "strides: [1, 2, 2]", "strides has 3 values for 2 stages"),
        ("strides: [1, 2]", "strides: [1, 7]", "strides cannot be 7"),
        ("stage2: [1, 2]", "stage2: [1, x]", "depth cannot be 'x'"),
        ("stage2: [1, 2]", "stage2: []", "no options are given"),
        ("stage2: [1, 2]", "stage2: {a: 1}", "depth cannot be {'a': 1}"),
        ("stage2: [1, 2]", "stage2: [[1], 2]", "depth cannot be [1]"),
        ("stage2: [1, 2]", "stage2: .nan", "depth cannot be nan"),
        ("stage2: [1, 2]", f"stage2: {10**40}", "depth cannot be"),
        ("share: network, ", "share: netwrk, ", "Did you mean 'network'?"),
        ("    share: stage\n", "    share: [stage]\n", "is no scope"),
        ("num_kernels: [1, 2]", "num_kernel: [1, 2]", "Did you mean 'num_kernels'?"),
        ("odconv: {num_kernels: [1, 2]}", "odconv: [1, 2]", "settings must be a mapping"),
        ("odconv: {num_kernels: [1, 2]}", "odconv: {num_kernels: yes}", "num_kernels cannot be 'yes'"),
        ("odconv: {num_kernels: [1, 2]}", "odconv: {num_kernels: true}", "num_kernels cannot be True"),
        ("odconv: {num_kernels: [1, 2]}", "odconv: {reduction: .inf}", "reduction cannot be inf"),
        ("odconv: {num_kernels: [1, 2]}", f"odconv: {{reduction: {10**299}}}", "reduction cannot be"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(old: str, new: str, words: str) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    found = problems(text)
    assert any(words in problem for problem in found), found
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row not in GOOD.splitlines()) if new else 1
    assert any(problem.startswith(f"space.yaml:{line}: ") for problem in found), found


def test_all_problems_of_a_file_are_told_together_in_the_order_of_its_lines() -> None:
    text = GOOD.replace("classes: 4", "classes: x").replace("stem_channels", "stem_chanels").replace("[3, 5]", "[3, 4]")
    text = text.replace("odconv:", "odcon:").replace("    dcd:\n", "    dcd: {latent_dim: none}\n") + "proxy: {epoch: 3}\n"
    found = problems(text)
    assert len(found) == 6
    lines = [int(problem.split(":")[1]) for problem in found]
    assert lines == sorted(lines)


@pytest.mark.parametrize("text", ["", "- a\n- b", "word", "1", "null"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    assert "must be a mapping" in only(text)


def test_a_resolution_without_the_inputs_size_is_refused() -> None:
    assert "do not include the input's 16x16" in only(GOOD.replace("classes: 4", "classes: 4\nresolution: [8, 12]"))


def test_stages_beyond_the_backbones_own_are_allowed_when_their_depth_is_given() -> None:
    stages = "  channels: [8, 8, 8, 8, 8, 8, 8, 8, 8]\n  strides: [1, 1, 1, 1, 1, 1, 1, 1, 2]\n  depth: [1, 2]\n  expansion: 2\n"
    assert compile_space(f"{HEAD}settings:\n{stages}").size == 2**9


def test_the_defaults_of_a_bottleneck_are_those_of_a_bottleneck() -> None:
    text = HEAD.replace("mobilenetv2", "resnet") + "settings:\n  block: bottleneck\n  width: [0.25, 0.5]\n"
    assert compile_space(text).architecture({}).settings["channels"] == (256, 512, 1024, 2048)


def test_a_setting_that_is_a_word_can_be_searched() -> None:
    space = compile_space(HEAD.replace("mobilenetv2", "resnet") + "settings:\n  stem: [small, medium]\n  width: 0.25\n")
    assert space.size == 2
    assert space.architecture({"stem": "medium"}).settings["stem"] == "medium"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{expansoin: 2}", "no decision has that name. Did you mean 'expansion'?"),
        ("{'expansion, kernel-size': 2}", "no decision is called 'kernel-size'. "),
        ("{expansion: 7}", "7 is no option. Allowed: 2, 3."),
        ("{}", "the combination is empty"),
        ("{expansion: [2, 3]}", "the rules leave no network"),
        ("{expansion: {a: 1}}", "cannot stand here"),
        ("[expansion]", "cannot stand here"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_an_error(rule: str, words: str) -> None:
    assert any(words in problem for problem in problems(f"{GOOD}forbid:\n  - {rule}\n"))


def test_a_value_that_only_slots_between_the_smallest_and_the_largest_can_use_is_allowed() -> None:
    many = "resolution: [16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]\nsettings:\n"
    many += "  channels: [64]\n  strides: [1]\n  depth: 1\n  stem_channels: 16\n  head_channels: 16\n"
    many += "  activation: [relu, relu6, hardswish, silu, gelu]\n  kernel_size: [3, 5, 7]\n"
    many += '  expansion: {share: network, "*": [3, 4, 5]}\n'
    space = compile_space(f'{HEAD}{many}slots:\n  "*.project":\n    dcd: {{num_blocks: [2, 64]}}\n')  # 64 divides only 4 x 16
    assert space.size == 15 * 5 * 3 * 3 * 2
    chosen = space.architecture({"expansion": 4, "stage1.block1.project.dcd.num_blocks": 64}).layers["stage1.block1.project"]
    assert chosen.settings["num_blocks"] == 64


def test_the_combinations_of_a_rule_are_counted_with_the_decisions_on_which_its_own_depend(monkeypatch: Any) -> None:
    layers = f'{HEAD}{BACKBONE}slots:\n  "*.expand, *.project":\n    static:\n    odconv: {{num_kernels: [1, 2]}}\n'
    rule = 'forbid:\n  - {"*.num_kernels": 2}\n'
    space = compile_space(layers + rule)
    in_block2 = {1: 1, 2: 3 * 3}  # by the depth of stage2: static, or one of two numbers of kernels, in each of two layers
    assert space.enumerated == 3 * 3 * 3 * sum(in_block2.values()) == len(space._outcomes(space._ruled))
    assert len(space.allowed) == 2 * 2 * 2 * (1 + 2 * 2)
    monkeypatch.setattr("dcdnas.space.reading.reader.RULED", 2**5)
    found = only(layers + rule)
    assert "the rules name 5 decisions with 270 combinations, counting the decisions on which these depend. Allowed: 32." in found


def test_an_unreadable_file_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_space(tmp_path)
