"""Ray is needed by its executor only: everything else works where it cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def without_ray(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose processes, the workers too, find a package `ray` that cannot be imported."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ray.py").write_text("raise ImportError('there is no Ray here')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")]))
    return project


def search(executor: str) -> subprocess.CompletedProcess[str]:
    words = ("search", "tiny.yaml", "-b", "0.3MFLOPs", "-n", "2", "--confirm", "0", "--jobs", "1", "--name", "own")
    command = [sys.executable, "-m", "dcdnas", *words, "--executor", executor]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_the_local_executor_searches(without_ray: Path) -> None:
    said = search("local")
    assert said.returncode == 0, said.stderr
    assert (without_ray / "runs" / "own" / "pareto.csv").is_file()


@pytest.mark.slow
def test_the_ray_executor_says_what_to_do(without_ray: Path) -> None:
    said = search("ray")
    assert said.returncode == 2
    assert "Ray cannot be imported: ImportError: there is no Ray here. `--executor local` searches without Ray." in said.stderr
