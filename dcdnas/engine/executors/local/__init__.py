"""Runs trainings in parallel worker processes on this machine: starts within a second and needs no Ray."""

from __future__ import annotations

import time
from contextlib import suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from dcdnas.core.trial import FailureKind
from dcdnas.engine.executors._base import Executor
from dcdnas.engine.executors._deadline import GRACE
from dcdnas.engine.executors.local._process import WorkerProcess
from dcdnas.engine.job import WAIT, Outcome

if TYPE_CHECKING:
    from dcdnas.engine.loop import SearchLoop

__all__ = ["Local"]

SETTLING = 0.5
"""Seconds to wait before a worker that was killed from outside counts as killed because of its training. If the whole machine or
batch job is going down, the driver has been terminated or asked to end by then."""

LATE = 2 * GRACE
"""Seconds after its deadline in which a worker may terminate itself, before the driver kills it."""


class Local(Executor):
    """Trains in worker processes that are reused.

    When a worker exits, hangs or is killed for lack of memory, only its training fails: the worker is replaced and the search
    continues. A training that is lost together with the driver does not fail; it is run again.
    """

    def run(self, loop: SearchLoop) -> None:
        """See `Executor.run`."""
        train = self.execution.training()
        workers = [WorkerProcess(train, self.log, self.execution.gpus_of(n)) for n in range(self.execution.workers)]
        try:
            while True:
                over = _hand_out(loop, workers)
                busy = [w for w in workers if w.job]
                if over and not busy:
                    return
                if loop.must_end:
                    loop.interrupt()
                    return
                ready = wait([w.connection for w in busy], timeout=0.5)
                for worker in (w for w in busy if w.connection in ready or w.gone):
                    _take(loop, worker)
                _end_late(loop, busy)
        finally:
            for worker in workers:
                worker.stop()


def _hand_out(loop: SearchLoop, workers: list[WorkerProcess]) -> bool:
    """Gives every idle worker a job; returns whether the loop has no more."""
    for worker in workers:
        if worker.job is None:
            job = loop.next()
            if job is None or job == WAIT:
                return job is None
            worker.send(job)
    return False


def _take(loop: SearchLoop, worker: WorkerProcess) -> None:
    """Handles one message of a worker, or its death."""
    job = worker.job
    if job is None:
        return
    try:
        message = worker.receive()
    except (EOFError, OSError):
        outcome = worker.died()
        if outcome.kind is FailureKind.KILLED:
            time.sleep(SETTLING)
        if not loop.must_end:
            loop.end(job, outcome)
            worker.stop()
        return
    if isinstance(message, Outcome):
        worker.job = None
        loop.end(job, message)
        return
    if message is None:
        return
    go_on = loop.report(job, message)
    with suppress(OSError):  # the worker died meanwhile, and the next wait finds its connection closed
        worker.connection.send(go_on)


def _end_late(loop: SearchLoop, busy: list[WorkerProcess]) -> None:
    """Kills the workers that are past their deadline and did not terminate themselves, or that do not get ready."""
    for worker in busy:
        if worker.job and worker.late(LATE):
            loop.end(worker.job, worker.too_late)
            worker.stop()
