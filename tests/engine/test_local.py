"""The local executor: whatever a worker does to itself costs its own training only."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searching import by_state, config, execute, loop_of
from trainings import Noting, chatty, hanging, pretend, slow

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending, EpochResult, FailureKind
from dcdnas.engine.executors import local
from dcdnas.engine.executors.local import Local, _process
from dcdnas.engine.executors.local._process import WorkerProcess
from dcdnas.engine.job import Job
from dcdnas.engine.signals import Wish
from dcdnas.engine.store import Store


def test_a_training_that_hangs_is_ended_after_its_deadline(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LATE", 0.1)
    loop = loop_of(store, config(trials=3, task=TrainingTask(epochs=3, deadline=2.0)))
    execute(loop, hanging, Local)
    (failed,) = by_state(loop, "failed")
    assert failed.number == 1
    assert failed.failure is FailureKind.HUNG
    assert failed.reason == "hung: no end after its deadline of 2 s; see workers.log"
    assert loop.ended == 3


def test_a_worker_that_ended_itself_for_its_deadline_has_hung_too(tmp_path: Path) -> None:
    worker = WorkerProcess(hanging, tmp_path / "log")
    worker.send(job_of(1, deadline=0.01))
    assert worker.receive() is None
    os.kill(pid_of(worker), signal.SIGKILL)
    time.sleep(0.05)
    assert worker.died().kind is FailureKind.HUNG
    worker.stop()


@pytest.mark.parametrize("deadline", [0.0, 1e-9])
def test_a_process_that_is_not_ready_in_time_did_not_hang_but_could_not_be_started(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadline: float
) -> None:
    monkeypatch.setattr(_process, "STARTING", 1e-9)
    monkeypatch.setattr(local, "LATE", 0.0)
    loop = loop_of(store, config(trials=1))
    job = loop.next()
    assert isinstance(job, Job)
    worker = WorkerProcess(pretend, tmp_path / "log")
    worker.job = replace(job, task=replace(job.task, deadline=deadline))
    local._end_late(loop, [worker])
    (failed,) = by_state(loop, "failed")
    assert failed.failure is FailureKind.NO_WORKER
    assert failed.reason == "its process could not be started: it was not ready after 0 s; see log"


def test_two_workers_train_on_two_gpus(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    execute(loop_of(store, config(trials=2)), Noting(str(tmp_path)), Local, jobs=2, gpus_per_trial=1.0)
    assert {json.loads(file.read_text())["gpus"] for file in tmp_path.glob("*.json")} == {"0", "1"}


def job_of(number: int, deadline: float = 0.0) -> Job:
    space = config().build_space()
    architecture = space.architecture(next(space.uniform_static()))
    return Job(number, architecture, TrainingTask(epochs=1, deadline=deadline))


def pid_of(worker: WorkerProcess) -> int:
    process: Any = worker._process
    return int(process.pid)


def test_a_worker_that_died_while_idle_is_replaced(tmp_path: Path) -> None:
    worker = WorkerProcess(pretend, tmp_path / "log")
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


@pytest.mark.parametrize("place_dies", [True, False])
def test_a_worker_that_is_killed_with_all_the_rest_costs_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, place_dies: bool
) -> None:
    """A batch system that ends a job, or a machine that goes down, kills the workers and ends the driver a moment later."""
    killed: list[int] = []

    def kill(worker: WorkerProcess) -> Any:
        message = receive(worker)
        if not killed and isinstance(message, EpochResult):
            killed.append(pid_of(worker))
            os.kill(killed[0], signal.SIGKILL)
        return message

    def settle(seconds: float) -> None:
        if place_dies:
            wish.append(Wish(Ending.INTERRUPTED, now=True))

    receive, wish = WorkerProcess.receive, [Wish()]
    monkeypatch.setattr(WorkerProcess, "receive", kill)
    monkeypatch.setattr(local.time, "sleep", settle)
    loop = execute(loop_of(store, config(trials=3), control=lambda: wish[-1]), slow, Local)
    if place_dies:
        assert (loop.trials[0].state, loop.ending) == ("interrupted", Ending.INTERRUPTED)
    else:
        assert (loop.trials[0].state, loop.trials[0].failure, loop.ended) == ("failed", FailureKind.KILLED, 3)


@pytest.mark.slow
def test_a_process_that_cannot_be_started_is_said(store: Store) -> None:
    loop = loop_of(store, config(trials=3))
    execute(loop, Unloadable(), Local)
    assert loop.ending is Ending.TOO_MANY_FAILURES
    assert {t.failure for t in by_state(loop, "failed")} == {FailureKind.NO_WORKER}
    assert loop.reason.startswith("10 trainings in a row failed, the last one with: its process could not be started")


class Unloadable:
    """Breaks in the process that loads it."""

    def __reduce__(self) -> Any:
        return os._exit, (7,)


def test_workers_are_gone_when_the_search_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []
    begin = WorkerProcess._begin

    def noting(worker: WorkerProcess) -> None:
        begin(worker)
        pids.append(pid_of(worker))

    monkeypatch.setattr(WorkerProcess, "_begin", noting)
    execute(loop_of(store, config(trials=2)), pretend, Local, jobs=2)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_workers_print_goes_to_their_log(store: Store, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    execute(loop_of(store, config(trials=1)), chatty, Local)
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "workers.log").read_text().split("\n")[:2] == ["said in a worker", "complained in a worker"]


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_leaves_signals_to_the_driver(signal_number: int, tmp_path: Path) -> None:
    worker = WorkerProcess(slow, tmp_path / "log")
    try:
        worker.send(job_of(0))
        os.kill(pid_of(worker), signal_number)  # while it starts
        assert worker.receive() is None
        os.kill(pid_of(worker), signal_number)
        assert isinstance(worker.receive(), EpochResult)
    finally:
        worker.stop()
