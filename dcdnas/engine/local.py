"""The local executor: worker processes on this machine, or none at all. The same loop as under Ray, started in a second.

A worker that exits, is killed for memory or hangs costs its own training only: it is replaced and the search goes on.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from multiprocessing.connection import Connection, wait
from typing import Any

from dcdnas.engine.job import Job, Outcome, described
from dcdnas.engine.loop import WAIT, SearchLoop
from dcdnas.engine.worker import Train
from dcdnas.records import Report
from dcdnas.watchdog import watchdog

GRACE = 30.0
"""Seconds after its deadline that a worker gets to give up by itself."""

_CONTEXT = multiprocessing.get_context("spawn")


def run_inline(loop: SearchLoop, train: Train) -> None:
    """Runs every training in this process, one after the other: for tests, and where processes cannot be started."""
    while (job := loop.next()) is not None and job != WAIT:
        current: Job = job

        def report(r: Report, current: Job = current) -> bool:
            return loop.report(current, r)

        try:
            outcome = Outcome(train(job, report))
        except KeyboardInterrupt:
            loop.interrupt("interrupted by the keyboard")
            raise
        except Exception as error:
            outcome = Outcome(None, described(error))
        loop.end(job, outcome)


def run_local(loop: SearchLoop, train: Train, jobs: int) -> None:
    """Runs the trainings in `jobs` worker processes until the loop has no more.

    Args:
        loop: hands out the trainings.
        train: what a worker runs; importable in a new process.
        jobs: workers.
    """
    workers = [Worker(train) for _ in range(jobs)]
    try:
        while True:
            over = _hand_out(loop, workers)
            busy = [w for w in workers if w.job]
            if loop.must_end:
                loop.interrupt(loop.stopped)
                return
            if over and not busy:
                return
            for ready in wait([w.connection for w in busy], timeout=0.5):
                _take(loop, next(w for w in busy if w.connection is ready))
            for worker in busy:
                if worker.job and worker.late:
                    loop.end(
                        worker.job,
                        Outcome(None, f"hung: no end {GRACE:.0f} s after its deadline of {worker.job.task.deadline:.0f} s"),
                    )
                    worker.replace()
    except KeyboardInterrupt:
        loop.interrupt("interrupted by the keyboard")
        raise
    finally:
        for worker in workers:
            worker.kill()


class Worker:
    """One process that trains what it is sent.

    Args:
        train: what it runs.
    """

    def __init__(self, train: Train) -> None:
        self.train = train
        self.job: Job | None = None
        self._since = 0.0
        self._begin()

    def send(self, job: Job) -> None:
        """Starts a job; a process that died while idle is replaced first."""
        if not self._process.is_alive():
            self._begin()
        self.job, self._since = job, time.monotonic()
        self.connection.send(job)

    def replace(self) -> None:
        """Ends the process and its job, and starts another."""
        self.kill()
        self.connection.close()
        self.job = None
        self._begin()

    def died(self) -> str:
        """How a process that is gone ended."""
        self._process.join(5)
        code = self._process.exitcode
        if code == -signal.SIGKILL:
            return "its process was killed: out of memory? Fewer `--jobs` or a smaller batch size need less."
        return f"its process ended with exit code {code}"

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.join()

    @property
    def late(self) -> bool:
        """Whether the job is past its deadline and the worker has not given up by itself."""
        limit = self.job.task.deadline if self.job else 0.0
        return limit > 0 and time.monotonic() - self._since > limit + GRACE

    def _begin(self) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, self.train), daemon=True)
        self._process.start()
        theirs.close()


def _hand_out(loop: SearchLoop, workers: list[Worker]) -> bool:
    """Gives every idle worker a job; returns whether the loop has no more."""
    for worker in workers:
        if worker.job is None:
            job = loop.next()
            if job is None or job == WAIT:
                return job is None
            worker.send(job)
    return False


def _take(loop: SearchLoop, worker: Worker) -> None:
    """Takes one message of a worker, or its death."""
    job = worker.job
    if job is None:
        return
    try:
        message: Report | Outcome = worker.connection.recv()
        if isinstance(message, Report):
            worker.connection.send(loop.report(job, message))
            return
    except (EOFError, OSError):
        loop.end(job, Outcome(None, worker.died()))
        worker.replace()
        return
    worker.job = None
    loop.end(job, message)


def _serve(connection: Connection[Any, Any], train: Train) -> None:
    """What a worker process runs. Ctrl-C is the driver's to handle; the worker ends when the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def report(r: Report) -> bool:
        connection.send(r)
        return bool(connection.recv())

    while True:
        try:
            job: Job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            with watchdog(job.task.deadline + GRACE / 2 if job.task.deadline else 0):
                outcome = Outcome(train(job, report))
        except (EOFError, BrokenPipeError):
            return
        except Exception as error:
            outcome = Outcome(None, described(error))
        connection.send(outcome)
