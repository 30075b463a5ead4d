"""Connects Ray Tune with the loop: passes Tune's questions and results on, and maps Tune's trials to jobs."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ray.tune.search import Searcher

from dcdnas.core.trial import EpochResult, FailureKind, Score
from dcdnas.engine.executors.ray._cluster import cause_of_death
from dcdnas.engine.executors.ray._worker import job_to_text, of_result
from dcdnas.engine.job import WAIT, Job, Outcome
from dcdnas.engine.loop import SearchLoop

DEATHS = {
    FailureKind.CRASHED: "its worker process died: it crashed, or the system killed it to free memory (then fewer `--jobs` help)",
    FailureKind.OUT_OF_MEMORY: "Ray ended its worker process because the memory was full: fewer `--jobs` or smaller batches help",
    FailureKind.NODE_LOST: "the machine that it was training on was lost",
}
"""Human-readable reasons why a training ended outside of `trainable`."""

LOST = "Ray gave it no worker"

Answer = TypeVar("Answer")


@dataclass
class Training:
    """State of a job that was given to Tune.

    Args:
        job: the training.
        since: value of `time.monotonic` when a worker began it; infinite while it waits for one.
        curve: reports so far.
        death: outcome if it fails outside of `trainable`, according to Tune.
        lost: returns whether Tune has ended the trial without notice.
        drop: makes Tune forget the trial.
    """

    job: Job
    since: float = math.inf
    curve: list[EpochResult] = field(default_factory=list)
    death: Outcome = field(default_factory=lambda: death(FailureKind.CRASHED))
    lost: Callable[[], bool] = lambda: False
    drop: Callable[[], None] = lambda: None

    def outcome(self, result: dict[str, Any], failed: bool) -> Outcome:
        """Outcome of the training, given its last result."""
        end = Outcome(None)
        if "error" in result:
            end = Outcome(None, result["error"], FailureKind(result["kind"]))
        elif failed:
            end = self._death()
        return replace(end, score=self._score(result))

    def _score(self, result: dict[str, Any]) -> Score | None:
        if not (self.curve or "score" in result):
            return None
        last = of_result(result) if "score" in result else self.curve[-1]
        return Score(last.values, last.epoch, last.seconds, tuple(self.curve))

    def _death(self) -> Outcome:
        deadline = self.job.task.deadline
        if self.death.kind is FailureKind.CRASHED and 0 < deadline < time.monotonic() - self.since:
            return Outcome(None, f"hung: no end after its deadline of {deadline:.0f} s", FailureKind.HUNG)
        return self.death


def death(kind: FailureKind) -> Outcome:
    """Outcome of a training whose worker process died."""
    return Outcome(None, DEATHS[kind], kind)


class Bridge:
    """Passes Tune's questions to the loop. An error of the loop ends Tune's run cleanly and is raised after it.

    Args:
        loop: the loop to ask.
        room: returns how many trainings may currently run in parallel.
    """

    def __init__(self, loop: SearchLoop, room: Callable[[], int]) -> None:
        self.loop, self.room = loop, room
        self._lock, self._closed = threading.Lock(), False
        self.error: Exception | None = None
        self._trainings: dict[str, Training] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Empty, because `Tuner.restore`, for which Tune pickles its searcher, is not used: the store has the state."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns the next job as Tune's configuration, None to wait, or `Searcher.FINISHED` at the end."""
        if len(self._trainings) >= self.room():
            return None
        job = self._guarded(self.loop.next, None)
        if job is None:
            return str(Searcher.FINISHED)
        if job == WAIT:
            return None
        self._trainings[trial_id] = Training(job)
        return {"job": job_to_text(job)}

    def report(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Records a result of a training; returns whether the training continues."""
        training = self._trainings.get(trial_id)
        if training is None or "error" in result or "score" in result:
            return False
        if "epoch" not in result or (training.curve and result["epoch"] <= training.curve[-1].epoch):
            return True  # Tune passes the last result a second time
        report = of_result(result)
        training.curve.append(report)
        return self._guarded(lambda: self.loop.report(training.job, report), False)

    def died(self, trial_id: str, error: str) -> None:
        """Records that a training failed outside of `trainable`; Tune calls `end` afterwards.

        Args:
            trial_id: Tune's id of the trial.
            error: Ray's error message, which names the worker and whose last line is that of the exception.
        """
        training = self._trainings.get(trial_id)
        if training is not None:
            worker = re.search(r"\b[0-9a-f]{32}\b", error)
            kind = cause_of_death(worker[0] if worker else "")
            said = next((line.strip() for line in reversed(error.split("\n")) if line.strip()), "")
            training.death = death(kind) if kind else Outcome(None, said[:500], FailureKind.RAISED)

    def added(self, trial_id: str, lost: Callable[[], bool], drop: Callable[[], None]) -> None:
        """Records the callbacks of a job's Tune trial once Tune has created it."""
        if trial_id in self._trainings:
            self._trainings[trial_id].lost, self._trainings[trial_id].drop = lost, drop

    def begun(self, trial_id: str) -> None:
        """Records that a worker begins a job; the time that it waited for the worker does not count towards its deadline."""
        if trial_id in self._trainings:
            self._trainings[trial_id].since = time.monotonic()

    def end(self, trial_id: str, result: dict[str, Any] | None, failed: bool) -> None:
        """Passes the outcome of a training to the loop, or queues it again when its machine was lost."""
        self.report(trial_id, result or {})
        training = self._trainings.pop(trial_id, None)
        if training is None:
            return
        outcome = training.outcome(result or {}, failed)
        if outcome.kind is FailureKind.NODE_LOST:
            self._guarded(lambda: self.loop.requeue(outcome.error, [training.job], FailureKind.NODE_LOST), None)
        else:
            self._guarded(lambda: self.loop.end(training.job, outcome), None)

    @property
    def over(self) -> bool:
        """Whether Tune must end all trainings now; interrupts the loop if so."""
        if self.error is None and self._guarded(lambda: self.loop.must_end, True):
            self._trainings.clear()
            self._guarded(self.loop.interrupt, None)
            return True
        self._find_lost()
        return self.error is not None

    def _find_lost(self) -> None:
        """Re-queues jobs whose trials Tune ended without notice, as it does when it cannot reuse an earlier trial's worker."""
        for trial_id, training in list(self._trainings.items()):
            if training.lost():
                del self._trainings[trial_id]
                training.drop()
                self._guarded(lambda job=training.job: self.loop.requeue(LOST, [job]), None)  # type: ignore[misc]

    def close(self) -> None:
        """Waits for the current call of the loop and blocks all later ones; for a Tune run that was given up."""
        with self._lock:
            self._closed = True

    def _guarded(self, question: Callable[[], Answer], otherwise: Answer) -> Answer:
        with self._lock:
            try:
                return otherwise if self._closed else question()
            except Exception as error:
                self.error = self.error or error
                return otherwise
