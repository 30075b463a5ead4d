"""Looking at a run, and exporting a config of what it found, needs no torch: what has to be known of its networks is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Run
from energy import energy_known

from dcdnas.core.architecture import Architecture
from dcdnas.core.cache import Records, code_digest
from dcdnas.results import load_run
from dcdnas.results.known import breakdown_of, measured_of

COMMANDS = (
    ("show", "done"),
    ("show", "done", "--json"),
    ("trials", "done"),
    ("status", "done"),
    ("list", "operators"),
    ("export", "done", "--trial", "front", "--to", "config", "-o", "nets"),
)


@pytest.mark.slow
def test_a_process_without_torch_says_the_same(run: Run, searched: Path) -> None:
    said = "".join(run(*words).out for words in COMMANDS)  # and what is listed is known now
    code = f"""
import sys
from dcdnas.cli import main
for words in {COMMANDS!r}:
    try:
        main(list(words))
    except SystemExit as ended:
        assert not ended.code, ended
    assert "torch" not in sys.modules, words
"""
    environment = {**os.environ, "COLUMNS": "160"}
    found = subprocess.run([sys.executable, "-c", code], cwd=searched, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout == said


def test_what_is_kept_is_what_was_found(searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best = load_run("runs/done").best
    assert best is not None
    kept = breakdown_of(best.architecture), measured_of(best.architecture)
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "empty"))
    for _ in range(2):
        assert (breakdown_of(best.architecture), measured_of(best.architecture)) == kept
    assert kept[1].values.items() <= kept[0].cost.values.items()


@pytest.mark.parametrize("line", [None, 3, [], {}, {"cost": 1, "layers": [], "notations": {}}, {"notations": 7}])
def test_a_damaged_entry_is_found_again(searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: object) -> None:
    best = load_run("runs/done").best
    assert best is not None
    right = breakdown_of(best.architecture)
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "other"))
    Records(f"known-{code_digest()}").append(f"layers {best.architecture.digest}", line)
    assert breakdown_of(best.architecture) == right


def test_a_metric_that_was_not_known_then_is_found_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path))
    network = Architecture("mobilenetv2", {"width": 0.25}, {}, (1, 20, 20), 5)
    before = breakdown_of(network, ("flops", "energy"))
    assert "energy" not in before.cost.values, "this process does not know it"
    with energy_known():
        assert breakdown_of(network, ("flops", "energy")).cost["energy"] > 0
