"""A search says while it runs that its networks do not learn: once, and not before a few have finished."""

from __future__ import annotations

from dataclasses import replace

import pytest
from written_runs import trial

from dcdnas.cli._output import Output
from dcdnas.cli._progress import Watcher
from dcdnas.engine.progress import Progress
from dcdnas.tasks import ACCURACY


def snapshot(finished: int, accuracy: float, guessing: bool) -> Progress:
    """Of a search of ten, after so many trainings."""
    latest = trial(finished - 1, accuracy, 50.0) if finished else None
    objective = replace(ACCURACY, worst=0.1)
    return Progress(10, finished, {"finished": finished}, 0, None, objective, latest, 0.0, 1.0, 1.0, latest, guessing)


def said(capsys: pytest.CaptureFixture[str], guessing: bool) -> list[str]:
    """The lines about guessing, as (number of finished networks) -> what is printed after it."""
    watcher, lines = Watcher(Output(no_color=True), "run"), []
    for finished in range(6):
        watcher(snapshot(finished, 0.1, guessing))
        printed = capsys.readouterr().err
        lines += [f"{finished}: {line}" for line in printed.splitlines() if "guessing" in line]
    return lines


def test_it_is_said_once_after_three_networks(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = said(capsys, guessing=True)
    assert line.startswith("3: None of the first 3 finished networks can be distinguished from guessing (10.0 %).")


def test_nothing_is_said_of_networks_that_learn(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, guessing=False) == []
