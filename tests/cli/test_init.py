from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Run

from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import check_budgets
from dcdnas.space.reading.reader import read_space


def test_the_starter_is_a_space_and_settings_that_fit_each_other(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("init", str(tmp_path / "new")).code == 0
    monkeypatch.chdir(tmp_path / "new")
    settings = SearchSettings.gather({})
    assert settings.space == "space.yaml"
    from dcdnas.core.budget import parse_budgets
    from dcdnas.cost import notations

    space = read_space("space.yaml")
    check_budgets(space, parse_budgets(settings.budget, notations()))
    assert space.name == "starter"
    assert "fashion-quick" not in Path("space.yaml").read_text()


def test_the_commands_that_are_shown_quote_names_with_spaces(run: Run, project: Path) -> None:
    assert "cd 'my search' && dcdnas search" in run("init", "my search").out
    (project / "tiny.yaml").rename("my tiny.yaml")
    assert "dcdnas space check 'my tiny.yaml' -b BUDGET" in run("cost", "my tiny.yaml").out
    slots = run("latency", "slots", "my tiny.yaml", "-o", "my phone.json", "--latency-device", "cpu: my phone").out
    assert "dcdnas search 'my tiny.yaml' -b 2ms --latency-table 'my phone.json' --latency-device 'cpu: my phone'" in slots
    (project / "my net.json").write_text(json.dumps(load_space("my tiny.yaml").architecture({}).to_dict()))
    refused = run("search", "my net.json", "-b", "1MFLOPs", "-d", "npz:some.npz").err
    assert "dcdnas train 'my net.json' -d npz:some.npz" in " ".join(refused.split())


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("mine")
    said = run("init", str(tmp_path))
    assert said.code == 2
    assert "space.yaml would be overwritten" in said.err
    assert (tmp_path / "space.yaml").read_text() == "mine"
    assert not (tmp_path / "dcdnas.yaml").exists()


def test_a_place_that_cannot_be_written_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = run("init", str(tmp_path / "file" / "below"))
    assert said.code == 2
    assert "cannot be written" in said.err
