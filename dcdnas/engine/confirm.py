"""Confirmation: the top of the front trained again on fresh seeds, since the maximum of noisy single runs is not the best."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from dcdnas import front
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.store import Confirmation, Store
from dcdnas.records import Trial


class Confirming:
    """Hands out the confirming trainings and writes down how they end.

    All networks are trained on the same fresh seeds, so that they can be compared pair by pair.
    """

    def __init__(self, config: SearchConfig, store: Store) -> None:
        self.config, self.store = config, store
        self.ended = store.confirmations()
        self.planned: int | None = None
        self._jobs: list[Job] = []

    def next(self, trials: Sequence[Trial]) -> Job | None:
        """The next confirming training, or None when all are handed out; the first call fixes which they are."""
        if self.planned is None:
            self._jobs = self._plan(trials)
            self.planned = len(self._jobs)
        return self._jobs.pop(0) if self._jobs else None

    def end(self, job: Job, outcome: Outcome) -> None:
        """Takes the end of a confirming training."""
        state = "failed" if outcome.error or outcome.score is None else "finished"
        confirmation = Confirmation(job.number, job.task.seed, state, outcome.score, outcome.error)
        self.ended.append(confirmation)
        self.store.add_confirmation(confirmation)

    def again(self, job: Job) -> None:
        """Takes back a training that was lost."""
        self._jobs.append(job)

    def _plan(self, trials: Sequence[Trial]) -> list[Job]:
        """The most accurate networks of the front and the static reference, seed by seed; those that ended are left out."""
        chosen = front.to_confirm(trials, self.config.budgets, self.config.minimize, self.config.confirm_top)
        done = {(c.number, c.seed) for c in self.ended}
        seeds = [derived_seed(self.config.seed, f"confirm-{i}") for i in range(self.config.confirm)]
        jobs = [Job(t.number, t.architecture, replace(self.config.task, seed=s), confirm=True) for s in seeds for t in chosen]
        return [job for job in jobs if (job.number, job.task.seed) not in done]


def derived_seed(seed: int, purpose: str | int) -> int:
    """A seed of 31 bits that depends on the run's seed and on what it is for."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:4], "big") >> 1
