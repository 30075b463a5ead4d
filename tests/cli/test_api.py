"""What `import dcdnas` offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import write_project

import dcdnas
from dcdnas.engine.progress import Progress
from dcdnas.errors import UsageError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    return tmp_path


@pytest.mark.slow
def test_a_search_from_python_returns_its_run(project: Path) -> None:
    seen: list[Progress] = []
    run = dcdnas.search("tiny.yaml", "0.3MFLOPs", seen.append, trials=2, confirm=0, executor="inline", name="mine")
    assert (run.ended, run.status) == (2, "finished")
    assert run.front()
    assert seen[-1].ended == 2
    assert dcdnas.load_run("mine").frame.shape[0] == len(run.trials)
    assert dcdnas.build(run.folder / "front" / "best.yaml").architecture == (run.best and run.best.architecture)


def test_an_unknown_setting_is_refused(project: Path) -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'trials'\?"):
        dcdnas.search("tiny.yaml", "0.3MFLOPs", trails=2)


def test_a_space_is_loaded_by_path_or_name(project: Path) -> None:
    assert dcdnas.load_space("tiny.yaml").size == 16
    assert dcdnas.load_space("fashion-quick").name == "fashion-quick"


def test_every_public_name_is_there_and_nothing_else() -> None:
    assert all(callable(getattr(dcdnas, name)) for name in dcdnas.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dcdnas.nothing


@pytest.mark.slow
@pytest.mark.parametrize("part", ["operators", "published"])
def test_a_module_that_people_use_needs_no_import_of_its_own(part: str) -> None:
    code = f"import dcdnas; assert '{part}' in dir(dcdnas); print(dcdnas.{part}.__name__)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == f"dcdnas.{part}\n"
