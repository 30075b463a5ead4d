from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Run
from energy import energy_known

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budget
from dcdnas.core.units import Notation, counts
from dcdnas.cost import metrics, notations, price
from dcdnas.networks import build_network

pytestmark = pytest.mark.usefixtures("project")


def test_show_lists_decisions_and_slots(run: Run) -> None:
    said = run("space", "show", "tiny.yaml")
    assert said.code == 0
    assert "16 outcomes" in said.out
    assert "expand+project.operator" in said.out
    assert "stage2.block1.project" in said.out


def test_show_as_json_has_every_decision(run: Run) -> None:
    found = run("space", "show", "tiny.yaml", "--json").json
    assert found["size"] == "16"
    assert {d["name"]: d["options"] for d in found["decisions"]} == {
        "width": [1.0, 2.0],
        "kernel_size": [3, 5],
        "expansion": [2, 3],
        "expand+project.operator": ["static", "odconv"],
    }


def test_check_says_costs_and_share(run: Run) -> None:
    said = run("space", "check", "tiny.yaml", "-b", "0.3MFLOPs")
    assert said.code == 0
    assert "no problems" in said.out
    assert "% of the space is within" in said.out


def test_check_says_what_a_cost_is_of_where_its_unit_does_not(run: Run) -> None:
    with energy_known(replace(metrics["params"], notation=Notation("energy", "Words of weights", counts("words")))):
        said = run("space", "check", "tiny.yaml", "-b", "9MiB", "-b", "energy<=9k").out
    assert re.search(r"^Costs      \S+ KiB to \S+ KiB of weights, median about \S+ KiB$", said, re.MULTILINE)
    assert re.search(r"^Costs      \S+ kwords to \S+ kwords, median about \S+ kwords$", said, re.MULTILINE)


def test_check_as_json_agrees_with_itself(run: Run) -> None:
    found = run("space", "check", "tiny.yaml", "-b", "0.2MFLOPs", "--json").json
    flops = found["ranges"]["flops"]
    assert flops["smallest"] < flops["median"] < flops["largest"]
    assert found["share_interval"][0] <= found["share"] <= found["share_interval"][1]
    assert 0 < found["share"] < 1


def test_check_tells_what_never_fits_and_what_is_forced(run: Run) -> None:
    smallest = run("space", "check", "tiny.yaml", "--json").json["ranges"]["flops"]["smallest"]
    found = run("space", "check", "tiny.yaml", "-b", f"{smallest}flops", "--json").json
    assert found["forced"] == {"width": 1.0, "kernel_size": 3, "expansion": 2, "expand+project.operator": "static"}
    assert {"decision": "width", "options": [2.0]} in found["never"]


def test_check_shows_all_problems_of_a_file_with_exit_code_2(run: Run, project: Path) -> None:
    text = (project / "tiny.yaml").read_text().replace("odconv", "odcon").replace("classes: 10", "classes: ten")
    (project / "bad.yaml").write_text(text)
    said = run("space", "check", "bad.yaml")
    assert said.code == 2
    assert "bad.yaml:5: classes" in said.err
    assert "Did you mean 'odconv'?" in said.err
    assert "Traceback" not in said.err


def test_check_and_a_search_note_a_pattern_that_has_no_effect(run: Run, project: Path) -> None:
    file = project / "tiny.yaml"
    file.write_text(file.read_text().replace("slots:\n", 'slots:\n  "*.project": {dcd: {num_blocks: [1, 2]}}\n'))
    for words in (("space", "check", "tiny.yaml"), ("search", "tiny.yaml", "-b", "0.3MFLOPs", "--dry-run")):
        said = run(*words)
        assert said.code == 0
        assert "slots.*.project: the pattern has no effect, because later ones match all" in " ".join(
            f"{said.out}{said.err}".split()
        )


def test_check_of_a_budget_that_nothing_meets_has_exit_code_4(run: Run) -> None:
    said = run("space", "check", "tiny.yaml", "-b", "1kFLOPs")
    assert said.code == 4
    assert "its smallest has" in said.err


def test_sample_draws_networks_within_the_budget_that_can_be_built(run: Run) -> None:
    found = run("space", "sample", "tiny.yaml", "-b", "0.2MFLOPs", "-n", "4", "--json").json
    assert len(found) == 4
    for plain in found:
        architecture = Architecture.from_dict(plain)
        build_network(architecture)
        assert dict(price(architecture).values) == plain["cost"]
        assert parse_budget("0.2MFLOPs", notations()).holds(price(architecture))


def test_sample_repeats_for_a_seed_and_not_for_another(run: Run) -> None:
    one, same, other = (run("space", "sample", "tiny.yaml", "-n", "6", "--seed", s, "--json").json for s in ("1", "1", "2"))
    assert one == same != other


def test_sample_with_equal_chances_for_networks(run: Run) -> None:
    assert len(run("space", "sample", "tiny.yaml", "--chances", "networks", "-n", "3", "--json").json) == 3


def test_an_unknown_space_is_wrong_usage(run: Run) -> None:
    said = run("space", "check", "fashion-quik")
    assert said.code == 2
    assert "Did you mean 'fashion-quick'?" in said.err


FITTED = """\
format: dcdnas/space-1
name: fitted
network: mobilenetv2
input: [1, 28, 28]
classes: 10
settings: {channels: [8, 16], strides: [1, 2], stem_channels: 8, head_channels: 32, width: fit, depth: 1, expansion: [2, 3]}
slots: {"*.expand": {static: , odconv: }}
"""


@pytest.mark.slow
def test_a_space_whose_width_is_fitted_says_how_much_of_the_budget_is_used(run: Run) -> None:
    Path("fitted.yaml").write_text(FITTED)
    said = run("space", "check", "fitted.yaml", "-b", "2MFLOPs")
    assert said.code == 0, said.err
    assert "Width      fitted to flops <= 2 MFLOPs" in said.out
    assert "of the networks use 95 to 100 % of it" in said.out


def test_a_space_whose_width_is_fitted_asks_for_a_budget(run: Run) -> None:
    Path("fitted.yaml").write_text(FITTED)
    said = run("space", "check", "fitted.yaml")
    assert said.code == 2
    assert "the width in fitted is fitted to a budget of FLOPs or parameters." in said.err
    refused = run("search", "fitted.yaml", "-b", "2MFLOPs", "--minimize", "flops", "--dry-run")
    assert refused.code == 2
    assert "so every network costs about that. Name another metric, or none." in " ".join(refused.err.split())
