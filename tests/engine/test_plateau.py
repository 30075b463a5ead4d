"""A search with patience ends when trainings leave its front as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from searching import config, execute, loop_of, memory, opened
from trainings import learn

from dcdnas.core.trial import Ending, Score
from dcdnas.engine.job import Job
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.proxy_training import Reporter

IMPROVING = 5
"""Trainings that are each better than the one before; all others are worse."""


def train(job: Job, report: Reporter) -> Score:
    return learn(job, report, 0.3 + 0.1 * job.number if job.number < IMPROVING else 0.2)


def searched(folder: Path, patience: int, trials: int = 20) -> SearchLoop:
    loop = loop_of(opened(folder), config(trials=trials, minimize=(), confirm=1, confirm_top=1), patience=patience)
    return execute(loop, train)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    memory(tmp_path).close()
    return tmp_path


@pytest.mark.parametrize("patience", [1, 3])
def test_so_many_trainings_without_a_change_of_the_front_end_the_search_and_it_is_confirmed(folder: Path, patience: int) -> None:
    loop = searched(folder, patience)
    assert (loop.ended, loop.ending) == (IMPROVING + patience, Ending.PLATEAU)
    assert loop.confirming.confirmed == loop.confirming.planned > 0


def test_without_patience_every_training_is_done(folder: Path) -> None:
    assert searched(folder, 0).ending is Ending.COMPLETED


def test_a_change_of_the_front_begins_the_count_anew(folder: Path) -> None:
    loop = searched(folder, 4, trials=8)
    assert (loop.ended, loop.ending) == (8, Ending.COMPLETED)


def test_a_resume_counts_on_and_goes_on_when_it_has_more_patience(folder: Path) -> None:
    assert searched(folder, 0, trials=IMPROVING + 2).ended == IMPROVING + 2
    assert searched(folder, 3).ended == IMPROVING + 3
    assert searched(folder, 3).ended == IMPROVING + 3
    assert searched(folder, 6).ended == IMPROVING + 6
    again = searched(folder, 0)
    assert (again.ended, again.ending) == (20, Ending.COMPLETED)
