"""Confirmation: retrains the networks believed best on fresh seeds, because the best of many single trainings is often lucky."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dcdnas.core.pareto import best, candidates, network_of
from dcdnas.core.trial import FailureKind, Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import NO_RESULT, Job, Outcome, confirming_seed
from dcdnas.engine.recovery import AGAIN, DIED
from dcdnas.engine.samplers import Search, smoothed
from dcdnas.engine.store import CONFIRMING, Confirmation, Store
from dcdnas.space.search_space import SearchSpace

CONSIDERED = 500
"""Number of networks with the best readings among which the ones to confirm are chosen."""


class Confirming:
    """Hands out the confirming trainings and records their results.

    All networks are trained on the same fresh seeds, so that they can be compared pairwise. A lost training is repeated by the
    same rule as a training of the search, see `dcdnas.engine.recovery`.

    Args:
        config: config of the search.
        space: the space that is searched.
        store: the run's store, open for writing.
        died: whether the earlier driver was killed.
        retry_failed: whether confirming trainings that failed are repeated.
    """

    def __init__(
        self, config: SearchConfig, space: SearchSpace, store: Store, died: bool = True, retry_failed: bool = False
    ) -> None:
        self.config, self.space, self.store = config, space, store
        self._ended = {(c.number, c.seed) for c in store.confirmations() if c.state == "finished" or not retry_failed}
        self._plan: set[tuple[int, int]] | None = None
        self._chosen: list[int] = []
        self._jobs: list[Job] = []
        self._running: set[str] = set()
        self._lost: dict[str, int] = {}
        left = store.meta(CONFIRMING, {"lost": {}, "running": []})
        if not retry_failed:
            self._lost = dict(left["lost"])
        for key in left["running"] if died else ():
            self._lost[key] = self._lost.get(key, 0) + 1

    @property
    def planned(self) -> int | None:
        """Total number of confirming trainings; None before the search has ended."""
        return None if self._plan is None else len(self._plan)

    @property
    def confirmed(self) -> int:
        """Number of confirming trainings that have ended."""
        return len(self._ended & (self._plan or set()))

    def choose(self, trials: Iterable[Trial]) -> None:
        """Selects the networks to confirm after the search; a second call does nothing.

        Args:
            trials: all trials of the search.
        """
        if self._plan is not None:
            return
        # a resumed search knows the trials in the order of their ends; sorted, equally good ones are chosen as before the resume
        jobs = self._all(sorted(trials, key=lambda t: t.number))
        self._plan = {_key(job) for job in jobs}
        for job in (job for job in jobs if _key(job) not in self._ended):
            self._queue(job, DIED)
        self._note()

    def next(self, trials: Iterable[Trial], alone: bool) -> Job | None:
        """Returns the next confirming training, or None when none can start now; selects the networks if that was not done.

        Args:
            trials: all trials of the search.
            alone: whether no other training is running.
        """
        self.choose(trials)
        if not self._jobs or (self._postponed(self._jobs[0]) and not alone):
            return None
        job = self._jobs.pop(0)
        self._running.add(job.key)
        self._note()
        return job

    def end(self, job: Job, outcome: Outcome) -> None:
        """Records the outcome of a confirming training."""
        if not outcome.error and (outcome.score is None or not self.config.goals.measured(outcome.score)):
            outcome = NO_RESULT
        score, error = outcome.score, outcome.error
        ended = ("failed", None) if error else ("finished", score)
        self._running.discard(job.key)
        with self.store.transaction():
            self.store.add_confirmation(Confirmation(job.number, job.task.seed, *ended, error, outcome.kind))
            self._note()
        self._ended.add(_key(job))

    def again(self, job: Job, reason: str, kind: FailureKind) -> None:
        """Queues a lost training again or, when it was lost too often, records it as failed.

        Args:
            job: the job that was running.
            reason: what happened, human-readable.
            kind: kind of the failure.
        """
        self._running.discard(job.key)
        self._lost[job.key] = self._lost.get(job.key, 0) + 1
        self._queue(job, reason, kind)
        self._note()

    def _queue(self, job: Job, reason: str, kind: FailureKind = FailureKind.DRIVER_DIED) -> None:
        """Queues a job: lost ones come first, repeatedly lost ones last. A job that was lost while running alone has failed."""
        times = self._lost.get(job.key, 0)
        if times > AGAIN + 1:
            self.end(job, Outcome(None, f"{reason} ({times} times, the last time alone)", kind))
        else:
            self._jobs.append(job)
            self._jobs.sort(key=lambda j: 1 if j.key not in self._lost else 2 if self._postponed(j) else 0)

    def _postponed(self, job: Job) -> bool:
        return self._lost.get(job.key, 0) > AGAIN

    def _note(self) -> None:
        """Writes the state of the confirmations to the store, for a later driver and for readers."""
        self.store.set_meta(CONFIRMING, {"lost": self._lost, "running": sorted(self._running), "chosen": self._chosen})

    def _all(self, trials: list[Trial]) -> list[Job]:
        """Builds the jobs of all networks to confirm, seed by seed."""
        search = Search(self.space, self.config.budgets, self.config.goals, self.config.seed)
        chosen = to_confirm(search, trials, self.config.confirm_top) if self.config.confirm else []
        self._chosen = [t.number for t in chosen]
        whole = self.config.task.stages[-1]
        tasks = [replace(whole, seed=confirming_seed(self.config.seed, i)) for i in range(self.config.confirm)]
        return [Job(t.number, t.architecture, task, confirm=True) for task in tasks for t in chosen]


def to_confirm(search: Search, trials: Sequence[Trial], top: int) -> list[Trial]:
    """Selects the trials to retrain on fresh seeds: the `top` networks believed best and the static reference.

    They need not be on the front. When the network with the best reading is not among them, it takes the last place, so that the
    confirmation shows whether its reading was lucky.
    """
    goals = search.goals
    found = sorted(candidates(trials, search.budgets), key=lambda t: goals.rankings(t.score)[0])[:CONSIDERED]
    worth = dict(zip((t.number for t in found), smoothed(search, found), strict=True))
    chosen = sorted(found, key=lambda t: -worth[t.number])[:top]
    read_best = best(trials, search.budgets, goals)
    if read_best and len(chosen) > 1 and read_best not in chosen:
        chosen[-1] = read_best
    taken = {network_of(t) for t in chosen}
    return chosen + [t for t in trials if t.origin == "static" and t.state == "finished" and network_of(t) not in taken]


def _key(job: Job) -> tuple[int, int]:
    return job.number, job.task.seed
