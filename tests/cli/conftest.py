"""Fixtures: an own project for each test, and a project with a finished search that tests only read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import SEARCH, Run, Said, command_in, write_project

from dcdnas.cli import main


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command and captures its output."""

    def command(*words: str) -> Said:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        out, err = capfd.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0 if code is None else 1, out, err)

    return command


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as the working folder: a space, images, no runs."""
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


@pytest.fixture(scope="session")
def searched_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the finished run ``done``: five trainings, two networks confirmed on two seeds each."""
    folder = tmp_path_factory.mktemp("searched")
    write_project(folder)
    command_in(folder, *SEARCH, "-n", "5", "--confirm", "2", "--set", "confirm_top=1", "--name", "done", "--quiet")
    return folder


@pytest.fixture
def searched(searched_once: Path, project: Path) -> Path:
    """A copy of the searched project, as the working folder."""
    shutil.copytree(searched_once / "runs", project / "runs")
    return project
