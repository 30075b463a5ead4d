"""A search that was stopped and resumed: what it confirms, and what it says is left to confirm."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from searching import FEW, config, loop_of, memory
from trainings import learn

from dcdnas.core.trial import Ending, Score
from dcdnas.engine.continuing import extend
from dcdnas.engine.execution import Execution
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import prepare
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.run import search
from dcdnas.engine.signals import Wish, request_stop
from dcdnas.engine.store import CONFIRMING, Store
from dcdnas.errors import Resumable
from dcdnas.results import load_run


def improving(job: Job, report: Reporter) -> Score:
    """Each training is better than the ones before."""
    return learn(job, report, 1 - 1 / (job.number + 2))


def test_an_extended_search_that_is_stopped_before_it_confirms_is_not_finished(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepare(folder, config(trials=5, confirm=1, confirm_top=2))
    execution = Execution(executor="inline", train=improving)
    assert search(folder, execution) is Ending.COMPLETED
    before = load_run(folder)
    assert (before.status, before.unconfirmed) == ("finished", 0)
    extend(folder, 8)
    trained: list[Job] = []

    def stopping(job: Job, report: Reporter) -> Score:
        trained.append(job)
        if len(trained) == 3:
            request_stop(folder, now=False)
        return improving(job, report)

    with pytest.raises(Resumable, match="8 of 8"):
        search(folder, replace(execution, train=stopping))
    run = load_run(folder)
    assert (run.ended, run.status) == (8, "interrupted")
    assert run.unconfirmed > 0
    assert trained[-1].number in run.chosen
    assert search(folder, execution) is Ending.COMPLETED
    assert (load_run(folder).status, load_run(folder).unconfirmed) == ("finished", 0)


def test_a_search_without_confirmation_that_is_stopped_at_its_last_training_is_complete(store: Store) -> None:
    wish = [Wish()]
    loop = loop_of(store, config(trials=1), control=lambda: wish[0])
    job = started(loop)
    wish[0] = Wish(Ending.STOPPED)
    loop.end(job, Outcome(improving(job, lambda _: True)))
    assert (loop.next(), loop.stopped, loop.ending) == (None, None, Ending.COMPLETED)


def test_of_equally_good_networks_a_resumed_search_confirms_the_same(tmp_path: Path) -> None:
    """Two trainings ran at the same time, and the later one ended first."""
    c, chosen = config(FEW, (), trials=2, confirm=1, confirm_top=1), []
    for name in ("whole", "resumed"):
        with closing(memory(tmp_path / name)) as store:
            loop = loop_of(store, c)
            for job in [started(loop), started(loop)][::-1]:
                loop.end(job, Outcome(Score({"accuracy": 0.5}, job.task.epochs, 1.0)))
            started(loop_of(store, c) if name == "resumed" else loop)
            chosen.append(store.meta(CONFIRMING)["chosen"])
    assert chosen == [[0], [0]]


def started(loop: SearchLoop) -> Job:
    job = loop.next()
    assert isinstance(job, Job), job
    return job
