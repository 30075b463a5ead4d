"""`dcdnas tune-forms`, as a person meets it; times are real and therefore not compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Run

SMALL = "network: mobilenetv2\nsettings: {width: 0.25, depth: 1, stem_stride: 1}\ninput: [3, 16, 16]\nclasses: 10\n"


@pytest.fixture
def config(project: Path) -> Path:
    """A network with one DCD layer, as a config file."""
    path = project / "net.yaml"
    path.write_text(f"format: dcdnas/architecture-1\n{SMALL}layers: {{stage2.block1.expand: {{operator: dcd}}}}\n")
    return path


def test_every_layer_with_a_choice_is_shown_with_the_whole_network(run: Run, config: Path) -> None:
    said = run("tune-forms", str(config), "--batch", "2")
    assert said.code == 0
    assert "batch 2" in said.out
    assert "DCD" in said.out
    assert "of 1 layers are faster in another form than the one the rule chooses" in said.out.replace("\n", " ")
    assert "dcdnas.tune_forms(network, batch=2, threads=1)" in said.out
    found = run("tune-forms", str(config), "--batch", "2", "--json").json
    (layer,) = found["layers"]
    assert layer["names"] == ["stage2.block1.expand.conv"]
    assert {layer["rule"], layer["fastest"]} <= set(layer["forms"])
    assert min(times["median"] for times in layer["forms"].values()) > 0
    assert found["network"]["before"] > 0 < found["network"]["after"]
    assert found["balance"]["loss"] >= found["balance"]["loss_fitted"] >= 1


@pytest.mark.slow
def test_the_second_time_nothing_is_measured(run: Run, config: Path) -> None:
    assert "Measuring" in run("tune-forms", str(config), "--fresh").err
    assert "Measuring" not in run("tune-forms", str(config)).err


def test_a_network_without_a_choice_says_so(run: Run, project: Path) -> None:
    path = project / "static.yaml"
    path.write_text(f"format: dcdnas/architecture-1\n{SMALL}layers: {{}}\n")
    said = run("tune-forms", str(path))
    assert said.code == 2
    assert "has no layer with more than one form" in said.err


def test_a_trial_of_a_published_network_is_refused(run: Run, project: Path) -> None:
    said = run("tune-forms", "dcd/mobilenetv2_dcd", "--trial", "3")
    assert said.code == 2
    assert "--trial needs a run, and dcd/mobilenetv2_dcd is a published network. Leave --trial out." in said.err


@pytest.mark.slow
def test_what_cannot_be_tuned_is_refused(run: Run, config: Path, searched: Path) -> None:
    assert "is not one. `dcdnas list presets`" in run("tune-forms", str(config), "--set", "width_mult=0.5").err
    assert "unknown preset 'dcd/mobilenetv2_dc'. Did you mean" in run("tune-forms", "dcd/mobilenetv2_dc").err
    assert "--trial front is several networks" in run("tune-forms", "done", "--trial", "front").err
