"""Pages of runs that dcdnas did not train by itself: they say what it knows of the trainings, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from written_runs import trial, write_run

from dcdnas.core.task import OWN, TABLE, TrainingTask
from dcdnas.core.trial import Ending, FailureKind
from dcdnas.engine.repeat import task_of
from dcdnas.errors import UsageError
from dcdnas.pages.advice import OF_PROGRAM, OF_TASK
from dcdnas.pages.context import of_failures, of_trial
from dcdnas.pages.payload import heading
from dcdnas.pages.single_file import report
from dcdnas.pages.snapshot import Still
from dcdnas.results import Run, load_run
from dcdnas.tasks import ASK_TELL

TRIALS = [trial(0, 0.70, 90.0), trial(1, 0.60, 30.0), trial(2, 0.80, 95.0)]


def run_of(folder: Path, task: str, **more: Any) -> Run:
    return load_run(write_run(folder / "mine", TRIALS, task=TrainingTask(data=f"{OWN}{task}"), **more))


def words(html: str) -> str:
    """What a page shows of its pages, without markup, styles and scripts."""
    shown = re.sub(r"<(style|script)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", shown).split())


def test_pages_of_a_loop_of_one_s_own_say_no_epochs_and_no_advice_on_trainings(tmp_path: Path) -> None:
    said = words(report(run_of(tmp_path, ASK_TELL)))
    assert "trained by a loop outside dcdnas" in said
    assert "from proposal to result" in said
    assert "as reported" in said
    assert "Only the final result is known." in said
    shown, settings = said.split("Settings of this search")
    for word in ("epoch", "dcdnas train", "--confirm", "This network was not trained", "dcdnas resume", OWN):
        assert word.lower() not in shown.lower(), word
    assert "learning" not in settings
    assert "epochs: 3" not in settings


def test_pages_of_a_task_say_its_name_and_epochs_and_nothing_of_a_classifier_s_training(tmp_path: Path) -> None:
    run = run_of(tmp_path, "radius")
    said = words(report(run))
    assert "task radius, 3 epochs per training" in heading(run)
    assert "Task radius Epochs 3" in said
    assert "Learning rate" not in said
    assert "dcdnas train" not in said


@pytest.mark.parametrize(("task", "what_to_try"), [("radius", OF_TASK), (ASK_TELL, OF_PROGRAM)])
def test_a_failure_names_no_command_that_there_is_not(tmp_path: Path, task: str, what_to_try: str) -> None:
    failed = replace(trial(3, 0.5, 40.0), state="failed", score=None, failure=FailureKind.RAISED, reason="ValueError: no data")
    source = Still(load_run(write_run(tmp_path / "mine", [*TRIALS, failed], task=TrainingTask(data=f"{OWN}{task}"))))
    (found,) = of_failures(source)["groups"]
    assert found.hint == of_trial(source, failed)["hint"] == what_to_try


def test_a_trial_of_a_table_is_shown_without_commands_that_repeat_a_training(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "mine", TRIALS, task=TrainingTask(data=f"{TABLE}dynconv-fmnist")))
    said = words(report(run))
    assert "--trial 0 -d DATA --epochs 300" in said
    assert "-d table:" not in said
    assert "trains the network again exactly as the search did" not in said
    with pytest.raises(UsageError, match="its results come from a table, so no training can be repeated"):
        task_of(run.folder, run.trials[0])


@pytest.mark.parametrize(
    ("task", "resumable", "command"),
    [
        (ASK_TELL, False, "dcdnas ask-tell --name mine"),
        ("notebook:Radius", False, "dcdnas.search(..., task=..., name='mine')"),
        ("radius", True, "dcdnas resume mine"),
    ],
)
def test_a_run_says_what_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, resumable: bool, command: str
) -> None:
    monkeypatch.setenv("DCDNAS_RUNS", str(tmp_path))
    run = run_of(tmp_path, task, ending=Ending.INTERRUPTED)
    assert run.resumable == resumable
    assert run.to_go_on.replace(str(run.folder), "mine") == command
