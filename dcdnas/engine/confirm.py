"""Confirmation: the top of the front trained again on fresh seeds, since the maximum of noisy single runs is not the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from dcdnas.core import pareto
from dcdnas.core.trial import FailureKind, Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import NO_RESULT, Job, Outcome, derived_seed
from dcdnas.engine.recovery import ATTEMPTS
from dcdnas.engine.store import Confirmation, Store


class Confirming:
    """Hands out the confirming trainings and writes down how they end.

    All networks are trained on the same fresh seeds, so that they can be compared pair by pair.
    """

    def __init__(self, config: SearchConfig, store: Store) -> None:
        self.config, self.store = config, store
        self._ended = {(c.number, c.seed) for c in store.confirmations()}
        self._plan: set[tuple[int, int]] | None = None
        self._jobs: list[Job] = []
        self._lost: Counter[str] = Counter()

    @property
    def planned(self) -> int | None:
        """How many confirming trainings there are in all; None before the search has ended."""
        return None if self._plan is None else len(self._plan)

    @property
    def confirmed(self) -> int:
        """How many of them have ended."""
        return len(self._ended & (self._plan or set()))

    def next(self, trials: Iterable[Trial]) -> Job | None:
        """The next confirming training, or None when all are handed out; the first call fixes which they are."""
        if self._plan is None:
            jobs = self._all(list(trials))
            self._plan = {_key(job) for job in jobs}
            self._jobs = [job for job in jobs if _key(job) not in self._ended]
        return self._jobs.pop(0) if self._jobs else None

    def end(self, job: Job, outcome: Outcome) -> None:
        """Takes the end of a confirming training."""
        if not outcome.error and (outcome.score is None or not self.config.goals.measured(outcome.score)):
            outcome = NO_RESULT
        score, error = outcome.score, outcome.error
        ended = ("failed", None) if error else ("finished", score)
        self.store.add_confirmation(Confirmation(job.number, job.task.seed, *ended, error, outcome.kind))
        self._ended.add(_key(job))

    def again(self, job: Job, reason: str) -> None:
        """Takes back a training that was lost; one that is lost time and again has failed."""
        self._lost[job.key] += 1
        if self._lost[job.key] >= ATTEMPTS:
            self.end(job, Outcome(None, reason, FailureKind.DRIVER_DIED))
        else:
            self._jobs.append(job)

    def _all(self, trials: list[Trial]) -> list[Job]:
        """The best networks of the front and the static reference, seed by seed."""
        chosen = pareto.to_confirm(trials, self.config.budgets, self.config.goals, self.config.confirm_top)
        seeds = [derived_seed(self.config.seed, f"confirm-{i}") for i in range(self.config.confirm)]
        return [Job(t.number, t.architecture, replace(self.config.task, seed=s), confirm=True) for s in seeds for t in chosen]


def _key(job: Job) -> tuple[int, int]:
    return job.number, job.task.seed
