"""A metric of fractions from outside the package, from the budget to the report, without a line about it elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Run, write_project
from energy import EACH, energy_known

from dcdnas.cli import main
from dcdnas.results import load_run

SEARCH = (
    "search", "tiny.yaml", "-b", "energy<=0.0009", "--minimize", "energy", "--executor", "inline", "--no-early-stopping",
    "--set", "starts=2", "-n", "4", "--confirm", "1", "--set", "confirm_top=1", "--name", "green",
)  # fmt: skip


@pytest.fixture(scope="module")
def searched_green(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished search within a budget of energy."""
    folder = tmp_path_factory.mktemp("green")
    write_project(folder)
    with pytest.MonkeyPatch.context() as patch, energy_known():
        patch.setenv("DCDNAS_CACHE", str(folder / "cache"))  # what is kept of a network has its energy, too
        patch.chdir(folder)
        patch.delenv("DCDNAS_RUNS", raising=False)
        with pytest.raises(SystemExit) as ended:
            main([*SEARCH, "--quiet"])
        assert ended.value.code in (0, None)
    return folder


@pytest.fixture
def green(searched_green: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, as the working folder, where the metric is known."""
    monkeypatch.setenv("DCDNAS_CACHE", str(searched_green / "cache"))
    shutil.copytree(searched_green / "runs", project / "runs")
    with energy_known():
        yield project


def test_the_search_is_within_its_budget_in_joules(green: Path) -> None:
    run = load_run("green")
    assert run.minimize == ("energy",)
    assert str(run.budgets[0]) == "energy <= 900 uJ"
    finished = [t for t in run.trials if t.state == "finished"]
    assert len(finished) == 4
    for t in finished:
        assert t.cost["energy"] == pytest.approx(EACH * t.cost["flops"], rel=1e-12)
        assert 0 < t.cost["energy"] <= 0.0009


def test_a_narrow_table_keeps_the_metric_that_the_search_is_about(run: Run, green: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    said = run("trials", "green").out
    assert " uJ" in said
    assert re.search(r"Left out for lack of space:[^.]*\bParameters\b[^.]*\.", said)


def test_the_axis_of_the_hypervolume_has_its_range(green: Path) -> None:
    run = load_run("green")
    low, high = run.bounds["energy"]
    assert 0 < low < high == 0.0009
    assert 0 < run.hypervolume < 1
    costs = [t.cost["energy"] for t in run.front()]
    assert costs == sorted(costs)


def test_tables_say_joules(run: Run, green: Path) -> None:
    for words in (("trials", "green"), ("compare", "green", "0", "1"), ("status", "green"), ("show", "green")):
        said = run(*words)
        assert said.code == 0, said.err
        assert " uJ" in said.out
        assert "of energy of energy" not in said.out


def test_json_has_the_value_itself(run: Run, green: Path) -> None:
    rows = run("trials", "green", "--json").json
    assert all(isinstance(row["energy"], float) and 1e-5 < row["energy"] < 1e-2 for row in rows)
    shown = run("show", "green", "--json").json
    assert sum(layer["energy"] for layer in shown["layers"]) == pytest.approx(shown["cost"]["energy"])


@pytest.mark.slow
def test_the_run_is_cut_at_another_budget(run: Run, green: Path) -> None:
    middle = sorted(t.cost["energy"] for t in load_run("green").trials)[1]
    rows = run("trials", "green", "-b", f"{1e6 * middle * 1.0001}uJ", "--json").json
    assert rows
    assert all(row["energy"] <= 1.0001 * middle for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("words", [("status", "green"), ("trials", "green"), ("trials", "green", "-b", "800uJ")])
def test_a_process_that_does_not_know_the_metric_says_the_same_without_torch(
    run: Run, green: Path, words: tuple[str, ...]
) -> None:
    code = (
        f"import sys\nfrom dcdnas.cli import main\ntry:\n    main({list(words)!r})\nfinally:\n"
        "    assert 'torch' not in sys.modules, 'torch is imported'"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=green, env={**os.environ, "COLUMNS": "160"}, capture_output=True, text=True, check=True
    )
    assert found.stdout == run(*words).out


def test_the_page_has_the_unit_and_the_axis(green: Path) -> None:
    text = (green / "runs" / "green" / "report.html").read_text(encoding="utf-8")
    assert json.dumps({"energy": [[1.0, ", J"], [0.001, ", mJ"], [1e-06, ", uJ"]]})[1:-1] in text
    assert "uJ" in text
    assert json.dumps("mJ") in text


@pytest.mark.parametrize(
    ("budget", "code", "words"),
    [
        ("5mJ", 0, "bounds nothing: the largest network of tiny has"),
        ("energy<=1uJ", 4, "meets energy <= 1 uJ: its smallest has"),
        ("energy<=5MJ", 2, "unknown unit 'MJ'. Units of energy: J, mJ, uJ"),
    ],
)
def test_a_budget_is_checked_in_its_units(run: Run, green: Path, budget: str, code: int, words: str) -> None:
    said = run("space", "check", "tiny.yaml", "-b", budget)
    assert (said.code, words in " ".join((said.out + said.err).split())) == (code, True)
