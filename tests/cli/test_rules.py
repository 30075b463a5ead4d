"""Forbidden combinations, decisions that exist only under others, and kernel forms slot by slot, from the file to the export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import Run

from dcdnas.core.architecture import Architecture
from dcdnas.networks import build_network
from dcdnas.operators import operators
from dcdnas.results import load_run
from dcdnas.space.library import load_space

RULED = """\
format: dcdnas/space-1
name: ruled
network: resnet
input: [1, 28, 28]
classes: 10
settings:
  block: basic
  stem: small
  stem_channels: 8
  channels: [8, 16]
  strides: [2, 2]
  depth: {stage1: 1, stage2: [1, 2]}
  kernel_size: {share: stage, "*": [3, 5]}
slots:
  "stage1.*.conv1, stage1.*.conv2":
    dcd: {kernel_form: [one_hot, tensor], latent_dim: half}
  "stage2.block2.*":
    share: block
    static:
    odconv: {num_kernels: [1, 2]}
forbid:
  - {"stage1.*.conv2.*.kernel_form": tensor, stage1.kernel_size: 5}
  - {stage2.depth: 2, stage2.kernel_size: 5}
proxy:
  data: npz:some.npz
  epochs: 1
  batch_size: 100
  augment: none
"""
"""30 networks: a kernel form for each of two slots, a choice that only a deeper second stage has."""

CONV1, CONV2 = ("stage1.block1.conv1.dcd.kernel_form", "stage1.block1.conv2.dcd.kernel_form")


@pytest.fixture(autouse=True)
def ruled(project: Path) -> Path:
    path = project / "ruled.yaml"
    path.write_text(RULED, encoding="utf-8")
    return path


def allowed(decisions: dict[str, Any]) -> bool:
    """What the two rules say."""
    first = decisions[CONV2] == "tensor" and decisions["stage1.kernel_size"] == 5
    second = decisions["stage2.depth"] == 2 and decisions["stage2.kernel_size"] == 5
    return not first and not second


def test_the_rules_and_the_conditions_are_shown(run: Run) -> None:
    plain = run("space", "show", "ruled.yaml", "--json").json
    assert len(plain["forbidden"]) == 2
    assert "stage2.depth: 2, stage2.kernel_size: 5" in plain["forbidden"]
    existence = {d["name"]: (d["parent"], d["when"]) for d in plain["decisions"]}
    assert existence["stage2.block2.conv1+conv2.operator"] == ("stage2.depth", [2])
    assert {CONV1, CONV2} < set(existence)
    assert plain["size"] == str(3 * 2 * (2 + 3))


def test_a_check_names_the_rules(run: Run) -> None:
    said = run("space", "check", "ruled.yaml").out
    assert "30 outcomes" in said
    assert said.count("Forbidden  ") == 2
    assert "Never fits" not in said


def test_a_check_says_what_the_rules_leave_no_network_with(run: Run, ruled: Path) -> None:
    more = "forbid:\n  - {stage2.depth: 2}\n  - {stage1.block1.conv1.dcd.kernel_form: tensor}\n"
    ruled.write_text(RULED.replace("forbid:\n", more), encoding="utf-8")
    plain = run("space", "check", "ruled.yaml", "--json").json
    assert {n["decision"]: n["options"] for n in plain["never"]} == {"stage2.depth": [2], CONV1: ["tensor"]}
    assert plain["forced"] == {"stage2.depth": 1, CONV1: "one_hot"}
    assert "the rules leave no network with stage2.depth: 2." in plain["notes"]
    within = run("space", "check", "ruled.yaml", "-b", "10MFLOPs").out
    assert "Never fits stage2.depth: 2" in within
    assert "stage2.block2" not in within


@pytest.mark.parametrize("chances", ["operators", "networks"])
def test_no_sample_is_forbidden_and_each_form_comes_up_in_each_slot(run: Run, chances: str) -> None:
    drawn = run("space", "sample", "ruled.yaml", "-n", "60", "--chances", chances, "--json").json
    assert len({network["digest"] for network in drawn}) > 20
    assert all(allowed(network["decisions"]) for network in drawn)
    both = {(a, b) for a in ("one_hot", "tensor") for b in ("one_hot", "tensor")}
    assert {(n["decisions"][CONV1], n["decisions"][CONV2]) for n in drawn} == both
    for network in drawn:
        assert ("stage2.block2.conv1" in network["layers"]) == (network["decisions"]["stage2.depth"] == 2)
        for name, decision in (("stage1.block1.conv1", CONV1), ("stage1.block1.conv2", CONV2)):
            assert network["layers"][name]["kernel_form"] == network["decisions"][decision]


@pytest.mark.slow
def test_a_search_trains_nothing_that_is_forbidden_and_exports_the_kernel_forms(run: Run, project: Path) -> None:
    words = ("-b", "10MFLOPs", "--executor", "inline", "--no-early-stopping", "--sampler", "random", "--confirm", "0")
    assert run("search", "ruled.yaml", *words, "--set", "starts=4", "-n", "12", "--name", "done", "--quiet").code == 0
    found = load_run("done")
    assert all(allowed(dict(t.decisions)) for t in found.trials if t.state == "finished")
    refused = [t for t in found.trials if not allowed(dict(t.decisions))]
    assert refused
    assert all(t.state == "refused" and t.reason.startswith("the space forbids stage") for t in refused)
    mixed = next(t for t in found.trials if t.state == "finished" and t.decisions[CONV1] != t.decisions[CONV2])
    assert run("export", "done", "--trial", str(mixed.number), "--to", "config", "-o", "out").code == 0
    again = Architecture.read(str(next((project / "out").rglob("*.json"))))
    assert again.digest == mixed.architecture.digest
    network = build_network(again)
    for name in ("stage1.block1.conv1", "stage1.block1.conv2"):
        operator = network.get_submodule(name).conv
        assert isinstance(operator, operators["dcd"])
        assert operator.kernel_form == mixed.decisions[f"{name}.dcd.kernel_form"]
        assert hasattr(operator.residual, "r") == (operator.kernel_form == "tensor")


def test_a_rule_on_what_does_not_exist_forbids_nothing() -> None:
    space = load_space("ruled.yaml")
    shallow = {d.name: d.options[-1] for d in space.decisions} | {"stage2.depth": 1, "stage1.kernel_size": 3}
    assert not space.forbids(shallow)
    assert space.forbids(shallow | {"stage2.depth": 2})
