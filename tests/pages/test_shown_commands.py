"""The commands on a run's pages can be given as they are: the command line reads them, and what they name is there."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import pytest
from spoken import problem_of
from thoroughness import slow_but
from written_runs import trial, write_run

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending
from dcdnas.data import load
from dcdnas.engine.folders import called, find_run
from dcdnas.pages.notebook import show_run
from dcdnas.pages.single_file import report
from dcdnas.results import load_run


def shown(text: str) -> set[str]:
    """The commands of a page, as a person copies them."""
    text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    plain = html.unescape(re.sub(r"<span data-number></span>", "0", text))
    return {line.strip() for line in re.findall(r"(?:>|Continue with: |^)(dcdnas [a-z][^<\n]*)", plain, re.MULTILINE)}


@pytest.mark.parametrize("name", slow_but(["two words"], ["quick", "two words"]))
@pytest.mark.parametrize("in_runs_folder", [True, False])
def test_the_commands_of_a_report_name_the_run_and_data_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, in_runs_folder: bool
) -> None:
    monkeypatch.setenv("DCDNAS_RUNS", str(tmp_path if in_runs_folder else tmp_path / "elsewhere"))
    folder = write_run(
        tmp_path / name,
        [trial(0, 0.7, 50.0), trial(1, 0.8, 60.0)],
        ending=Ending.STOPPED,
        trials=9,
        task=TrainingTask(data="fashion-mini"),
    )
    run = load_run(folder)
    commands = shown(report(run)) | shown(show_run(run).html)
    verbs = {shlex.split(command)[1] for command in commands}
    assert verbs >= {"show", "export", "train", "report", "dashboard", "resume"}
    for command in commands:
        words = shlex.split(command)
        assert problem_of(command, whole=True) == "", command
        if words[1] != "dashboard":
            assert find_run(words[2]).samefile(folder), command
        elif not in_runs_folder:
            assert Path(words[words.index("--runs") + 1]).samefile(tmp_path)
        if "-d" in words:
            assert len(load(words[words.index("-d") + 1]).classes) == 10


def test_a_run_is_called_by_its_name_only_where_that_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "a run", [])
    assert called(folder) == shlex.quote(str(folder))
    monkeypatch.setenv("DCDNAS_RUNS", str(tmp_path))
    assert called(folder) == "'a run'"
