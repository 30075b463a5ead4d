from __future__ import annotations

from pathlib import Path

import pytest
from commands import Run

from dcdnas.engine.planning.settings import SearchSettings
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
