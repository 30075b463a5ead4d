"""Runs trainings one after the other in the search's own process: for debugging, and where processes cannot be started."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from dcdnas.core.trial import EpochResult
from dcdnas.engine.executors._base import Executor
from dcdnas.engine.job import WAIT, Job, Outcome, failed

if TYPE_CHECKING:
    from dcdnas.engine.loop import SearchLoop

__all__ = ["Inline"]


class Inline(Executor):
    """Trains in the driver process. A training that hangs or crashes takes the search with it."""

    in_process = True

    def run(self, loop: SearchLoop) -> None:
        """See `Executor.run`."""
        while (job := loop.next()) is not None and job != WAIT:
            with self.recording(loop):
                outcome = self._outcome(loop, job)
                if loop.must_end and not _is_whole(job, outcome):
                    loop.interrupt()
                    return
                loop.end(job, outcome)

    def recording(self, loop: SearchLoop) -> AbstractContextManager[None]:
        """Surrounds one training and its records, of which each is on disk as soon as it is made."""
        return nullcontext()

    def _outcome(self, loop: SearchLoop, job: Job) -> Outcome:
        def report(r: EpochResult) -> bool:
            try:
                return loop.report(job, r) and not loop.must_end
            except Exception as error:
                raise LoopFailed(error) from None

        try:
            with self.interruptible():
                return Outcome(self.execution.training()(job, report))
        except LoopFailed as stop:
            raise stop.error from None
        except (Exception, SystemExit) as error:
            return failed(error)


def _is_whole(job: Job, outcome: Outcome) -> bool:
    """Whether the training reached its last epoch, so that its result is kept even if the search has to end now."""
    return outcome.score is not None and not outcome.error and outcome.score.epochs >= job.task.epochs


class LoopFailed(BaseException):
    """Carries an error of the loop through a training, so that it is not mistaken for an error of the training."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(error)
