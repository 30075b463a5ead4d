"""A driver or machine that goes down: what was in training is trained again, and the search is the one it would have been."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searching import FEW, SAMPLERS, by_state, config, execute, loop_of, memory, offer, opened, plain
from thoroughness import slow_but
from trainings import pretend

from dcdnas.core.trial import Ending, EpochResult, FailureKind, Score, Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import WAIT, Job, Outcome
from dcdnas.engine.loop import FAILURES, SearchLoop
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.recovery import AGAIN
from dcdnas.engine.store import Store
from dcdnas.errors import RunError

Train = Callable[[Job, Reporter], Score]


class Died(BaseException):
    """The driver is gone."""


class Deadly:
    """Takes the driver down after one epoch, as often as `times` says of a training."""

    def __init__(self, times: Callable[[Job], int]) -> None:
        self.times, self.deaths = times, Counter[str]()
        self.asked: list[str] = []

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Trains, or dies."""
        self.asked.append(job.key)
        if self.deaths[job.key] < self.times(job):
            self.deaths[job.key] += 1
            report(EpochResult(1, {"accuracy": 0.99, "loss": 0.1}, 0.1))
            raise Died
        return pretend(job, report)


def session(folder: Path, c: SearchConfig, train: Train, **settings: Any) -> SearchLoop | None:
    """One life of a driver; None when it died."""
    with closing(opened(folder) if (folder / "run.db").exists() else memory(folder)) as store:
        try:
            return execute(loop_of(store, c, **settings), train)
        except Died:
            return None


def sessions(folder: Path, c: SearchConfig, train: Train) -> SearchLoop:
    """As many as it takes."""
    while True:
        loop = session(folder, c, train)
        if loop is not None:
            return loop


def records(folder: Path) -> tuple[list[Trial], list[Any]]:
    """All that is written but moments, and how often what was lost."""
    with closing(Store(folder)) as store:
        return [replace(t, lost=0) for t in plain(store.trials())], store.confirmations()


def trials_of(folder: Path) -> list[Trial]:
    with closing(Store(folder)) as store:
        return store.trials()


def started(loop: SearchLoop) -> Job:
    job = loop.next()
    assert isinstance(job, Job), job
    return job


def ended(loop: SearchLoop, job: Job) -> None:
    loop.end(job, Outcome(pretend(job, lambda r: loop.report(job, r))))


# A resumed search is the one it would have been


@pytest.mark.parametrize("times", slow_but([2], [1, 2]))
@pytest.mark.parametrize("name", slow_but(["tpe"], SAMPLERS))
def test_a_search_whose_driver_dies_under_every_training_is_the_uninterrupted_one(tmp_path: Path, name: str, times: int) -> None:
    c = config(sampler=name, trials=16, early_stopping=True, confirm=1)
    whole, cut = sessions(tmp_path / "whole", c, pretend), sessions(tmp_path / "cut", c, Deadly(lambda job: times))
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    assert [t.number for t in cut.standing.front] == [t.number for t in whole.standing.front]
    assert {t.lost for t in trials_of(tmp_path / "cut") if t.state in ("finished", "stopped")} == {times}
    assert sum(t.origin == name for t in whole.trials.values()) > 6, "the sampler has proposed some"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_search_that_is_cut_at_any_training_is_the_uninterrupted_one(tmp_path: Path, name: str) -> None:
    c = config(sampler=name, trials=20, early_stopping=True, confirm=1)
    order = Deadly(lambda job: 0)
    sessions(tmp_path / "whole", c, order)
    for cut in order.asked:
        folder = tmp_path / cut
        sessions(folder, c, Deadly(lambda job, cut=cut: int(job.key == cut)))  # type: ignore[misc]
        assert records(folder) == records(tmp_path / "whole"), cut


@pytest.mark.parametrize("name", slow_but(["tpe"], SAMPLERS))
def test_a_search_that_is_stopped_and_resumed_again_and_again_is_the_uninterrupted_one(tmp_path: Path, name: str) -> None:
    c = config(sampler=name, trials=14)
    sessions(tmp_path / "whole", c, pretend)
    with closing(memory(tmp_path / "cut")) as store:
        while (loop := loop_of(store, c, died=False)).ended < 14:
            ended(loop, started(loop))
            if loop.ended < 14:
                started(loop)
            loop.interrupt()
    assert records(tmp_path / "cut") == records(tmp_path / "whole")


def test_failures_in_a_row_are_counted_over_the_deaths_of_the_driver(tmp_path: Path) -> None:
    def failing(job: Job, report: Reporter) -> Score:
        if job.number > 2:
            raise ValueError("broken")
        return pretend(job, report)

    class Both(Deadly):
        def __call__(self, job: Job, report: Reporter) -> Score:
            super().__call__(job, report)
            return failing(job, report)

    sessions(tmp_path / "whole", config(trials=20), failing)
    loop = sessions(tmp_path / "cut", config(trials=20), Both(lambda job: 1))
    assert loop.stopped is Ending.TOO_MANY_FAILURES
    assert [(t.state, t.reason, t.architecture) for t in trials_of(tmp_path / "cut")] == [
        (t.state, t.reason, t.architecture) for t in trials_of(tmp_path / "whole")
    ]


def test_what_was_reported_before_the_death_is_forgotten(tmp_path: Path) -> None:
    c = config(trials=3)
    assert session(tmp_path, c, Deadly(lambda job: 1)) is None
    with closing(opened(tmp_path)) as store:
        assert len(store.curve(0)) == 1
        started(loop_of(store, c))
        assert store.curve(0) == ()


# How often a training is done again


def test_a_training_that_always_takes_the_driver_down_is_first_then_last_and_alone_and_then_has_failed(tmp_path: Path) -> None:
    c, deadly = config(trials=6), Deadly(lambda job: 99 * (job.number == 2))
    first = []
    for _ in range(AGAIN + 1):
        deadly.asked.clear()
        assert session(tmp_path, c, deadly) is None
        first.append(list(deadly.asked))
    assert first == [["0", "1", "2"], ["2"], ["2"], ["2"]]
    assert [(t.number, t.state, t.lost) for t in trials_of(tmp_path)] == [
        (0, "finished", 0), (1, "finished", 0), (2, "running", AGAIN),
    ]  # fmt: skip
    deadly.asked.clear()
    assert session(tmp_path, c, deadly) is None
    assert deadly.asked[-1] == "2", "the last one of all"
    now = {t.number: t for t in trials_of(tmp_path)}
    assert sum(t.state == "finished" for t in now.values()) == 5, "it keeps its place among the six"
    loop = session(tmp_path, c, deadly)
    assert loop is not None
    failed = loop.trials[2]
    assert (failed.state, failed.failure, failed.lost, failed.attempts) == ("failed", FailureKind.DRIVER_DIED, AGAIN + 2, 0)
    assert failed.reason == "the driver died while it was training (5 times, the last time alone)"
    assert loop.ended == 6, "another network takes its place"
    assert failed.architecture not in [t.architecture for t in loop.trials.values() if t.state == "finished"]


def test_a_training_that_is_lost_four_times_and_ends_well_alone_counts(tmp_path: Path) -> None:
    loop = sessions(tmp_path, config(trials=6), Deadly(lambda job: (AGAIN + 1) * (job.number == 2)))
    assert (loop.trials[2].state, loop.trials[2].lost, loop.ended) == ("finished", AGAIN + 1, 6)
    assert len(loop.trials) == 6


def lose(loop: SearchLoop, job: Job, times: int) -> None:
    """Loses a running training so often."""
    for n in range(times):
        loop.requeue("the machine was lost", [job], FailureKind.NODE_LOST)
        if n < times - 1:
            assert started(loop) == job


def test_nothing_runs_beside_a_training_that_was_lost_too_often(store: Store) -> None:
    loop = loop_of(store, config(trials=5))
    first, second = started(loop), started(loop)
    lose(loop, first, AGAIN + 1)
    others = [second, *(started(loop) for _ in range(3))]
    assert first.number not in {job.number for job in others}
    assert loop.next() == WAIT, "it keeps its place, so no sixth network is begun"
    for job in others[:-1]:
        ended(loop, job)
    assert loop.next() == WAIT, "one is still running"
    ended(loop, others[-1])
    last = started(loop)
    assert (last.number, last.architecture, last.task.seed) == (first.number, first.architecture, first.task.seed)
    assert loop.next() == WAIT
    ended(loop, last)
    assert (loop.next(), loop.ending, loop.ended) == (None, Ending.COMPLETED, 5)


def test_a_machine_that_is_lost_under_a_training_alone_is_said_as_such(store: Store) -> None:
    loop = loop_of(store, config(trials=1))
    lose(loop, started(loop), AGAIN + 1)
    loop.requeue("the machine was lost", [started(loop)], FailureKind.NODE_LOST)
    failed = store.trials()[0]
    assert (failed.state, failed.failure, failed.attempts, failed.lost) == ("failed", FailureKind.NODE_LOST, 0, AGAIN + 2)
    assert failed.reason == "the machine was lost (5 times, the last time alone)"


@pytest.mark.slow
def test_a_network_that_waits_to_be_trained_last_is_not_trained_under_another_number(store: Store) -> None:
    loop = loop_of(store, config(FEW, trials=9))
    first = started(loop)
    lose(loop, first, AGAIN + 1)
    others = [started(loop), started(loop)]
    assert loop.next() == WAIT
    for job in others:
        ended(loop, job)
    last = started(loop)
    assert (last.number, loop.exhausted) == (first.number, True)
    ended(loop, last)
    assert loop.next() is None
    assert (loop.ended, loop.ending) == (3, Ending.EXHAUSTED)


def test_a_twin_of_a_network_that_waits_is_settled_with_it(store: Store) -> None:
    loop = loop_of(store, config(trials=3, starts=0))
    first = started(loop)
    lose(loop, first, AGAIN + 1)
    offer(loop, loop.trials[first.number].decisions)
    others = [started(loop), started(loop)]
    for job in others:
        ended(loop, job)
    assert not by_state(loop, "replayed")
    ended(loop, started(loop))
    assert [(t.state, t.reason) for t in loop.trials.values()][-1] == (
        "replayed",
        f"the same network as trial {first.number}, which finished",
    )


def test_a_driver_that_dies_before_it_begins_anything_counts_one_death(tmp_path: Path) -> None:
    store = memory(tmp_path)
    started(loop_of(store, config()))
    for _ in range(3):
        store.close()
        store = opened(tmp_path)
        loop = loop_of(store, config())
    assert (loop.trials[0].state, loop.trials[0].lost) == ("interrupted", 1)
    store.close()


def test_no_network_is_blamed_for_a_driver_that_could_not_write_any_more(store: Store) -> None:
    started(loop_of(store, config()))
    for _ in range(AGAIN + 3):
        loop = loop_of(store, config(), died=False)
        assert store.counts() == {"interrupted": 1}
        assert started(loop).number == 0
    assert loop.trials[0].lost == 0


@pytest.mark.slow
def test_an_exhausted_space_whose_last_network_was_lost_asks_it_again(store: Store) -> None:
    loop = loop_of(store, config(FEW, trials=9))
    jobs = [started(loop) for _ in range(3)]
    assert loop.next() == WAIT
    assert loop.exhausted
    for job in jobs[:2]:
        ended(loop, job)
    loop.requeue("the driver crashed")
    assert started(loop).architecture == jobs[2].architecture


# Confirming trainings


def test_a_confirming_training_that_always_takes_the_driver_down_has_failed_in_the_end(tmp_path: Path) -> None:
    c, deadly = config(trials=4, confirm=2), Deadly(lambda job: 99 * (job.confirm and job.number == 0))
    loop = sessions(tmp_path, c, deadly)
    _, confirmations = records(tmp_path)
    failed = [x for x in confirmations if x.state == "failed"]
    assert [(x.number, x.failure) for x in failed] == [(0, FailureKind.DRIVER_DIED)] * 2
    assert {x.reason for x in failed} == {"the driver died while it was training (5 times, the last time alone)"}
    assert all(x.state == "finished" for x in confirmations if x.number)
    assert loop.complete
    assert set(deadly.deaths.values()) == {AGAIN + 2}


def test_confirming_trainings_that_a_crash_of_the_executor_takes_down_have_failed_in_the_end(store: Store) -> None:
    loop = loop_of(store, config(trials=1, confirm=1))
    ended(loop, started(loop))
    for _ in range(AGAIN + 2):
        assert started(loop).confirm
        loop.requeue("the executor crashed")
    assert loop.next() is None
    said = [(c.state, c.reason, c.failure) for c in store.confirmations()]
    assert said == [("failed", "the executor crashed (5 times, the last time alone)", FailureKind.DRIVER_DIED)]


# Failed networks again


def broken(job: Job, report: Reporter) -> Score:
    if job.number in (1, 3) or (job.confirm and job.number == 0):
        raise ValueError("the disk was not there")
    return pretend(job, report)


def test_failed_networks_are_trained_again_when_it_is_asked_for(tmp_path: Path) -> None:
    c = config(trials=6, confirm=1)
    before = session(tmp_path, c, broken)
    assert before is not None
    assert (before.trials[1].state, before.trials[3].state, before.ended) == ("failed", "failed", 6)
    same = session(tmp_path, c, pretend)
    assert same is not None
    assert same.trials[1].state == "failed", "not without being asked"
    deadly = Deadly(lambda job: 0)
    after = session(tmp_path, c, deadly, retry_failed=True)
    assert after is not None
    assert deadly.asked[:2] == ["1", "3"]
    assert [(after.trials[n].state, after.trials[n].failure, after.trials[n].seed) for n in (1, 3)] == [
        ("finished", None, before.trials[n].seed) for n in (1, 3)
    ]
    assert (after.ended, len(after.trials), after.complete) == (8, len(before.trials), True)
    _, confirmations = records(tmp_path)
    assert {x.state for x in confirmations} == {"finished"}


def test_a_network_that_took_the_driver_down_is_trained_again_as_a_new_one(tmp_path: Path) -> None:
    c = config(trials=4)
    sessions(tmp_path, c, Deadly(lambda job: 99 * (job.number == 1)))
    after = session(tmp_path, c, pretend, retry_failed=True)
    assert after is not None
    assert (after.trials[1].state, after.trials[1].lost, after.trials[1].failure) == ("finished", 0, None)


@pytest.mark.slow
def test_after_ten_failures_a_resume_does_not_train_ten_more(tmp_path: Path) -> None:
    def failing(job: Job, report: Reporter) -> Score:
        raise ValueError("broken")

    c = config(trials=40)
    for resumes in range(3):
        loop = session(tmp_path, c, failing, died=False)
        assert loop is not None
        assert loop.stopped is Ending.TOO_MANY_FAILURES
        assert loop.reason == f"{FAILURES + resumes} trainings in a row failed, the last one with: ValueError: broken"
        assert sum(t.state == "failed" for t in loop.trials.values()) == FAILURES + resumes
    good = session(tmp_path, c, pretend, died=False)
    assert good is not None
    assert good.ended == 40


@pytest.mark.parametrize("name", slow_but(["model", "tpe"], SAMPLERS))
def test_trials_of_another_space_are_refused_whatever_the_sampler(tmp_path: Path, name: str) -> None:
    sessions(tmp_path, config(FEW, (), sampler=name, trials=2), pretend)
    other = {**FEW, "settings": {**FEW["settings"], "width": [1.0, 2.5]}}
    with pytest.raises(RunError, match=r"trial 0: the space has no width of 3\.0"):
        session(tmp_path, config(other, (), sampler=name, trials=9), pretend)
