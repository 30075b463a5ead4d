"""The driver's handle of a worker process: starts it, sends it jobs, receives its messages and terminates it."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.trial import EpochResult, FailureKind
from dcdnas.engine.executors.local._worker import READY, serve
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.signals import SIGNALS

if TYPE_CHECKING:
    from dcdnas.engine.proxy_training import Train

STARTING = 600.0
"""Seconds within which a new process has to be ready."""

_CONTEXT = multiprocessing.get_context("spawn")


class WorkerProcess:
    """One worker process, which trains the jobs it is sent; it is started with the first job.

    Args:
        train: training function that it runs.
        log: file to which its output is written.
        gpus: the GPUs that it uses, as a value of CUDA_VISIBLE_DEVICES; empty for those of the driver.
    """

    def __init__(self, train: Train, log: Path, gpus: str = "") -> None:
        self.train, self.log, self.gpus = train, log, gpus
        self.job: Job | None = None
        self.connection: Connection[Any, Any]
        self._process: multiprocessing.process.BaseProcess | None = None
        self._ready = False
        self._since = 0.0

    def send(self, job: Job) -> None:
        """Starts a job, in a new process if there is none or it died while idle."""
        if self.gone:
            self.stop()
        if self._process is None:
            self._begin()
        self.job, self._since = job, time.monotonic()
        with suppress(OSError):  # the process died just now, and the next wait finds its connection closed
            self.connection.send(job)

    @property
    def gone(self) -> bool:
        """Whether the process has ended, even if a child process of it lives on and keeps its connection open."""
        return self._process is not None and not self._process.is_alive()

    def receive(self) -> EpochResult | Outcome | None:
        """Receives a message of the worker; None for the message that it is ready.

        Raises:
            EOFError: when the worker has died.
            OSError: likewise.
        """
        if self.gone and not self.connection.poll():
            raise EOFError
        message: EpochResult | Outcome | str = self.connection.recv()
        if isinstance(message, str):
            self._ready, self._since = message == READY, time.monotonic()
            return None
        return message

    def stop(self) -> None:
        """Kills the process and with it its job."""
        self.job = None
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.connection.close()
            self._process, self._ready = None, False

    def died(self) -> Outcome:
        """Outcome of the job whose process has died."""
        code = None
        if self._process is not None:
            self._process.join(5)
            code = self._process.exitcode
        if not self._ready:
            return Outcome(None, f"its process could not be started: it ended with exit code {code}", FailureKind.NO_WORKER)
        if self.late():
            return self.too_late
        if code == -signal.SIGKILL:
            killed = "its process was killed: out of memory? Fewer `--jobs` or a smaller batch size need less."
            return Outcome(None, killed, FailureKind.KILLED)
        how = "closed its connection to the search" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        return Outcome(None, f"its process {how}{self._see_log}", FailureKind.CRASHED)

    def late(self, grace: float = 0.0) -> bool:
        """Whether the job, or the start of the process, is more than `grace` seconds past its deadline."""
        limit = STARTING if not self._ready else self.job.task.deadline if self.job else 0.0
        return limit > 0 and time.monotonic() - self._since > limit + grace

    @property
    def too_late(self) -> Outcome:
        """Outcome of a job that did not end before its deadline, or whose process was not ready in time."""
        if not self._ready:
            said = f"its process could not be started: it was not ready after {STARTING:.0f} s{self._see_log}"
            return Outcome(None, said, FailureKind.NO_WORKER)
        deadline = self.job.task.deadline if self.job else 0
        return Outcome(None, f"hung: no end after its deadline of {deadline:.0f} s{self._see_log}", FailureKind.HUNG)

    @property
    def _see_log(self) -> str:
        return f"; see {self.log.name}"

    def _begin(self) -> None:
        resource_tracker.ensure_running()  # otherwise the first start of a process runs it, which unblocks the signals again
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=serve, args=(theirs, self.train, self.log, self.gpus), daemon=True)
        with _blocked_signals():
            self._process.start()
        theirs.close()


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """Starts processes with the driver's termination signals blocked, because the driver itself terminates its workers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
