"""The local executor: worker processes on this machine, or none at all. The same loop as under Ray, started in a second.

A worker that exits, is killed for memory or hangs costs its own training only: it is replaced and the search goes on.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from dcdnas.core.trial import EpochResult
from dcdnas.engine.executors._local_worker import GRACE, READY, serve
from dcdnas.engine.job import Job, Outcome, described
from dcdnas.engine.loop import WAIT, SearchLoop
from dcdnas.engine.proxy_training import Train
from dcdnas.engine.signals import SIGNALS

LATE = 2 * GRACE
"""Seconds after its deadline in which a worker may give up by itself, before the driver ends it."""

STARTING = 600.0
"""Seconds in which a new process has to be ready."""

_CONTEXT = multiprocessing.get_context("spawn")

Guard = Callable[[], AbstractContextManager[None]]


def run_inline(loop: SearchLoop, train: Train, interruptible: Guard = nullcontext) -> None:
    """Runs every training in this process, one after the other: for tests, and where processes cannot be started.

    Args:
        loop: hands out the trainings.
        train: what is run.
        interruptible: a context in which Ctrl-C may break in.
    """
    while (job := loop.next()) is not None and job != WAIT:
        current: Job = job

        def report(r: EpochResult, current: Job = current) -> bool:
            return loop.report(current, r) and not loop.must_end

        try:
            with interruptible():
                outcome = Outcome(train(job, report))
        except (Exception, SystemExit) as error:
            outcome = Outcome(None, described(error))
        if loop.must_end:
            loop.interrupt(loop.stopped)
            return
        loop.end(job, outcome)


def run_local(loop: SearchLoop, train: Train, jobs: int, log: Path | None = None) -> None:
    """Runs the trainings in `jobs` worker processes until the loop has no more.

    Args:
        loop: hands out the trainings.
        train: what a worker runs; importable in a new process.
        jobs: workers.
        log: file that takes what the workers print; None leaves it on the terminal.
    """
    workers = [Worker(train, log) for _ in range(jobs)]
    try:
        while True:
            over = _hand_out(loop, workers)
            busy = [w for w in workers if w.job]
            if over and not busy:
                return
            if loop.must_end:
                loop.interrupt(loop.stopped)
                return
            for ready in wait([w.connection for w in busy], timeout=0.5):
                _take(loop, next(w for w in busy if w.connection is ready))
            for worker in busy:
                if worker.job and worker.late(LATE):
                    loop.end(worker.job, Outcome(None, worker.hung))
                    worker.stop()
    finally:
        for worker in workers:
            worker.stop()


class Worker:
    """One process that trains what it is sent; started when there is something to train.

    Args:
        train: what it runs.
        log: file that takes what it prints.
    """

    def __init__(self, train: Train, log: Path | None) -> None:
        self.train, self.log = train, log
        self.job: Job | None = None
        self.connection: Connection[Any, Any]
        self._process: multiprocessing.process.BaseProcess | None = None
        self._ready = False
        self._since = 0.0

    def send(self, job: Job) -> None:
        """Starts a job, in a new process where there is none or it died while idle."""
        if self._process is not None and not self._process.is_alive():
            self.stop()
        if self._process is None:
            self._begin()
        self.job, self._since = job, time.monotonic()
        with suppress(OSError):  # it died just now: the next wait finds its connection closed
            self.connection.send(job)

    def receive(self) -> EpochResult | Outcome | None:
        """What the worker says; None when it says that it is ready.

        Raises:
            EOFError: when it has died.
            OSError: likewise.
        """
        message: EpochResult | Outcome | str = self.connection.recv()
        if isinstance(message, str):
            self._ready, self._since = message == READY, time.monotonic()
            return None
        return message

    def stop(self) -> None:
        """Ends the process, and its job with it, at once."""
        self.job = None
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.connection.close()
            self._process, self._ready = None, False

    def died(self) -> str:
        """How a process that is gone ended."""
        code = None
        if self._process is not None:
            self._process.join(5)
            code = self._process.exitcode
        if not self._ready:
            return f"its process could not be started: it ended with exit code {code}"
        if self.late():
            return self.hung
        if code == -signal.SIGKILL:
            return "its process was killed: out of memory? Fewer `--jobs` or a smaller batch size need less."
        if code is not None and code < 0:
            return f"its process was ended by {signal.Signals(-code).name}{self._see_log}"
        return f"its process ended with exit code {code}{self._see_log}"

    def late(self, grace: float = 0.0) -> bool:
        """Whether the job is that many seconds past its deadline and the worker has not given up by itself."""
        limit = STARTING if not self._ready else self.job.task.deadline if self.job else 0.0
        return limit > 0 and time.monotonic() - self._since > limit + grace

    @property
    def hung(self) -> str:
        """Why a job that does not end was ended."""
        return f"hung: no end after its deadline of {self.job.task.deadline if self.job else 0:.0f} s{self._see_log}"

    @property
    def _see_log(self) -> str:
        return f"; see {self.log.name}" if self.log else ""

    def _begin(self) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=serve, args=(theirs, self.train, self.log), daemon=True)
        with _blocked_signals():
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
        message = worker.receive()
    except (EOFError, OSError):
        loop.end(job, Outcome(None, worker.died()))
        worker.stop()
        return
    if isinstance(message, Outcome):
        worker.job = None
        loop.end(job, message)
        return
    if message is None:
        return
    go_on = loop.report(job, message)
    with suppress(OSError):  # it died meanwhile: the next wait finds its connection closed
        worker.connection.send(go_on)


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """A process started within this block never sees the signals that ask the driver to end: the driver ends its workers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
