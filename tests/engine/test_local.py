"""The local executor: whatever a worker does to itself costs its own training only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from searching import by_state, config, loop_of, memory, plain
from trainings import FAULTS, chatty, fault, faulty, hanging, pretend, quality, slow

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.engine.executors import local
from dcdnas.engine.executors.local import Worker, run_inline, run_local
from dcdnas.engine.job import Job
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.proxy_training import Train
from dcdnas.engine.signals import Wish
from dcdnas.engine.store import Store

REASONS = {
    "raise": "ValueError: no such kernel",
    "exit": "its process ended with exit code 3",
    "sys.exit": "SystemExit: enough",
    "kill": "its process was killed: out of memory?",
    "segfault": "its process was ended by SIGSEGV",
    "nan": "the training ended without a finite accuracy",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(memory(tmp_path)) as made:
        yield made


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> SearchLoop:
    """One search in which every kind of fault happens once."""
    folder = tmp_path_factory.mktemp("faults")
    loop = loop_of(memory(folder), config(trials=10, confirm=1, confirm_top=1))
    run_local(loop, faulty, 2, folder / "workers.log")
    return loop


@pytest.mark.parametrize("kind", FAULTS)
def test_a_training_that_goes_wrong_fails_with_its_reason(faults: SearchLoop, kind: str) -> None:
    trial = faults.trials[1 + FAULTS.index(kind)]
    assert trial.state == "failed"
    assert trial.reason.startswith(REASONS[kind])


def test_the_search_goes_on_to_exactly_its_number(faults: SearchLoop) -> None:
    assert faults.ended == len(by_state(faults, "finished")) == 10
    assert not by_state(faults, "running", "interrupted")
    assert not faults.stopped


def test_a_failed_training_keeps_what_it_had_reported(faults: SearchLoop) -> None:
    score = faults.trials[2].score
    assert score is not None
    assert score.curve == (EpochResult(1, 0.2, 1.0, 0.1),)
    assert faults.store.trials()[2].score == score


def test_every_score_is_that_of_its_own_job(faults: SearchLoop) -> None:
    for trial in by_state(faults, "finished"):
        job = Job(trial.number, trial.architecture, TrainingTask(seed=trial.seed))
        assert trial.score
        assert trial.score.accuracy == quality(job)


def test_what_is_confirmed_was_trained_in_the_workers_too(faults: SearchLoop) -> None:
    assert {c.state for c in faults.store.confirmations()} == {"finished"}


def test_the_executors_find_the_same(tmp_path: Path) -> None:
    found = []
    for name, run in (("inline", run_inline), ("local", partial(run_local, jobs=1))):
        with closing(memory(tmp_path / name)) as store:
            loop = loop_of(store, config(trials=8, early_stopping=True, confirm=1))
            run(loop, pretend)  # type: ignore[operator]
            found.append((plain(store.trials()), store.confirmations()))
    assert found[0] == found[1]


def test_a_training_that_hangs_is_ended_after_its_deadline(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LATE", 0.1)
    loop = loop_of(store, config(trials=3, task=TrainingTask(epochs=3, deadline=2.0)))
    run_local(loop, hanging, 1)
    (failed,) = by_state(loop, "failed")
    assert failed.number == 1
    assert failed.reason == "hung: no end after its deadline of 2 s"
    assert loop.ended == 3


def test_a_worker_that_ended_itself_for_its_deadline_has_hung_too(tmp_path: Path) -> None:
    worker = Worker(hanging, tmp_path / "log")
    worker.send(job_of(1, deadline=0.01))
    assert worker.receive() is None
    os.kill(pid_of(worker), signal.SIGKILL)
    time.sleep(0.05)
    assert worker.died().startswith("hung")
    worker.stop()


def job_of(number: int, deadline: float = 0.0) -> Job:
    space = config().build_space()
    architecture = space.architecture(next(space.uniform_static()))
    return Job(number, architecture, TrainingTask(epochs=1, deadline=deadline))


def pid_of(worker: Worker) -> int:
    process: Any = worker._process
    return int(process.pid)


def test_a_worker_that_died_while_idle_is_replaced() -> None:
    worker = Worker(pretend, None)
    try:
        worker.send(job_of(0))
        assert worker.receive() is None
        first = pid_of(worker)
        os.kill(first, signal.SIGKILL)
        worker._process.join()  # type: ignore[union-attr]
        worker.send(job_of(0))
        assert worker.receive() is None
        assert isinstance(worker.receive(), EpochResult)
        assert pid_of(worker) != first
    finally:
        worker.stop()


def test_a_process_that_cannot_be_started_is_said(store: Store) -> None:
    loop = loop_of(store, config(trials=3))
    run_local(loop, Unloadable(), 1)  # type: ignore[arg-type]
    assert loop.stopped.startswith("10 trainings in a row failed, the last one with: its process could not be started")


class Unloadable:
    """Breaks in the process that loads it."""

    def __reduce__(self) -> Any:
        return os._exit, (7,)


def test_workers_are_gone_when_the_search_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []
    begin = Worker._begin

    def noting(worker: Worker) -> None:
        begin(worker)
        pids.append(pid_of(worker))

    monkeypatch.setattr(Worker, "_begin", noting)
    run_local(loop_of(store, config(trials=2)), pretend, 2)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_workers_print_goes_to_their_log(store: Store, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_local(loop_of(store, config(trials=1)), chatty, 1, tmp_path / "workers.log")
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "workers.log").read_text().split("\n")[:2] == ["said in a worker", "complained in a worker"]


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_leaves_signals_to_the_driver(signal_number: int) -> None:
    worker = Worker(slow, None)
    try:
        worker.send(job_of(0))
        os.kill(pid_of(worker), signal_number)  # while it starts
        assert worker.receive() is None
        os.kill(pid_of(worker), signal_number)
        assert isinstance(worker.receive(), EpochResult)
    finally:
        worker.stop()


@pytest.mark.parametrize("train", [pretend, slow])
def test_a_wish_to_stop_now_interrupts_what_runs(store: Store, train: Train) -> None:
    wish = [Wish()]
    loop = loop_of(store, config(trials=50), control=lambda: wish[0])

    def stop_after_three() -> None:
        if loop.ended >= 3:
            wish[0] = Wish("stopped as asked", now=True)

    loop.observe = stop_after_three
    run_local(loop, train, 2)
    assert loop.stopped == "stopped as asked"
    assert loop.ended in (3, 4)
    assert set(store.counts()) <= {"finished", "interrupted", "refused", "replayed"}
    wish[0] = Wish()
    again = loop_of(store, config(trials=6))
    run_local(again, pretend, 2)
    assert again.ended == 6


def broken_observer() -> None:
    raise BrokenPipeError("the terminal is gone")


def test_an_error_of_the_driver_is_not_taken_for_a_dead_worker(store: Store) -> None:
    loop = loop_of(store, config())
    job_started = [False]

    def observe() -> None:
        if job_started[0]:
            broken_observer()
        job_started[0] = True

    loop.observe = observe
    with pytest.raises(BrokenPipeError):
        run_local(loop, pretend, 1)
    assert not by_state(loop, "failed")


@pytest.mark.parametrize("kind", ["raise", "sys.exit", "nan"])
def test_inline_a_training_that_goes_wrong_fails_too(store: Store, kind: str) -> None:
    loop = loop_of(store, config(trials=3))
    run_inline(loop, lambda job, report: Score(fault(kind), 1.0, 3, 0.1) if job.number == 1 else pretend(job, report))
    assert (loop.ended, [t.number for t in by_state(loop, "failed")]) == (3, [1])
    assert loop.trials[1].reason.startswith(REASONS[kind])
