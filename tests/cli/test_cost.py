from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import yaml
from commands import Run

from dcdnas.cost import additive_metrics, exact_metrics
from dcdnas.space.library import load_space

pytestmark = pytest.mark.usefixtures("project")


def test_a_published_network_has_its_published_parameters(run: Run) -> None:
    found = run("cost", "odconv/base_resnet18", "--json").json
    assert found["cost"]["params"] == 11_689_512


@pytest.mark.slow
def test_a_published_network_takes_its_settings(run: Run) -> None:
    half, whole = (run("cost", "dcd/mobilenetv2_dcd", "--set", f"width_mult={w}", "--json").json for w in ("0.5", "1.0"))
    assert half["cost"]["flops"] < whole["cost"]["flops"]


@pytest.mark.slow
def test_the_operators_costs_add_up(run: Run) -> None:
    found = run("cost", "dcd/mobilenetv2_dcd", "--json").json
    for metric in ("flops", "params"):
        assert sum(row[metric] for row in found["by_operator"].values()) == found["cost"][metric]


def test_a_space_has_its_smallest_and_largest(run: Run) -> None:
    ends = {e["what"]: e["cost"] for e in run("cost", "tiny.yaml", "--json").json["ends"]}
    assert ends["smallest by flops"]["flops"] < ends["largest by flops"]["flops"]
    assert ends["smallest by params"]["params"] < ends["largest by params"]["params"]


def test_a_shipped_space_is_meant_by_its_name(run: Run) -> None:
    assert "fashion-quick" in run("cost", "fashion-quick").out


def test_a_config_costs_what_its_network_does(run: Run, project: Path) -> None:
    architecture = load_space("tiny.yaml").architecture({"width": 2.0})
    (project / "net.yaml").write_text(yaml.safe_dump(architecture.to_dict()))
    said = run("cost", "net.yaml", "--layers")
    assert said.code == 0
    assert "stage2.block1.project" in said.out
    assert run("cost", "net.yaml", "--json").json["digest"] == architecture.digest


@pytest.mark.parametrize(
    "words", [("dcd/mobilenetv3",), ("nothing.yaml",), ("tiny.yaml", "--set", "a=1"), ("dcd/resnet18_dcd", "--set", "x")]
)
def test_what_cannot_be_meant_is_wrong_usage(run: Run, words: tuple[str, ...]) -> None:
    said = run("cost", *words)
    assert said.code == 2
    assert said.err.startswith("Error: ")


def test_an_unknown_setting_of_a_published_network_says_which_it_has(run: Run) -> None:
    said = run("cost", "dcd/mobilenetv2_dcd", "--set", "width=1")
    assert said.code == 2
    assert "width_mult" in said.err


@pytest.mark.slow
def test_the_layers_of_a_preset_in_json_and_csv_add_up_to_its_costs(run: Run) -> None:
    words = ("cost", "dcd/mobilenetv2_dcd", "--layers")
    plain, rows = run(*words, "--json").json, list(csv.DictReader(io.StringIO(run(*words, "--csv").out)))
    assert [row["slot"] for row in rows] == [layer["slot"] for layer in plain["layers"]]
    assert set(plain["cost"]) == set(exact_metrics())
    for metric in additive_metrics():
        value = plain["cost"][metric]
        assert sum(layer[metric] for layer in plain["layers"]) == sum(int(row[metric]) for row in rows) == value
    for part, value in plain["flops_parts"].items():
        assert sum(layer[f"flops_{part}"] for layer in plain["layers"]) == sum(int(row[f"flops_{part}"]) for row in rows) == value
    assert sum(plain["flops_parts"].values()) == plain["cost"]["flops"]


@pytest.mark.slow
def test_a_wide_terminal_shows_parts_activations_and_forms_and_a_narrow_one_what_matters(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("cost", "condconv/cond_mobilenetv2", "--layers")
    said = {}
    for width in ("80", "200"):
        monkeypatch.setenv("COLUMNS", width)
        said[width] = run(*words).out
    assert "FLOPs" in said["80"]
    for title in ("Convolution", "Dynamic", "Controller", "Share", "Weights", "Activation", "Form", "relu6", ", guided"):
        assert title in said["200"]
        assert title == ", guided" or title not in said["80"].partition("Left out for lack of space")[0]


@pytest.mark.slow
def test_another_count_says_that_budgets_mean_something_else(run: Run) -> None:
    said = run("cost", "dcd/mobilenetv2_dcd", "--count", "published")
    assert "403,834,552" in said.out
    assert "budgets refer to the deploy forms" in said.out
    assert "budgets refer to the deploy forms" not in run("cost", "dcd/mobilenetv2_dcd").out


@pytest.mark.parametrize("words", [("--count", "training"), ("--csv",), ("--layers",)])
def test_a_space_has_no_layers_to_count(run: Run, words: tuple[str, ...]) -> None:
    said = run("cost", "tiny.yaml", *words)
    assert said.code == 2
    assert "is a space" in said.err


def test_the_folder_of_a_config_is_taken(run: Run, project: Path) -> None:
    architecture = load_space("tiny.yaml").architecture({"width": 2.0})
    (project / "net").mkdir()
    (project / "net" / "config.yaml").write_text(yaml.safe_dump(architecture.to_dict()))
    assert run("cost", "net", "--json").json["digest"] == architecture.digest


def test_a_run_is_refused_with_the_command_that_shows_what_it_costs(run: Run, searched: Path) -> None:
    said = run("cost", "done")
    assert said.code == 2
    assert "done is a run, and no network or space. `dcdnas show done --trial best` shows what one costs." in said.err
