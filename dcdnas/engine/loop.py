"""The loop of a search: ask, price, train, tell. Executors only run the trainings that it hands out.

Cheap checks come before expensive training: a proposal is resolved, priced, and compared with the budgets and with all known
networks before it is trained. Every event is one transaction of the store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from dcdnas.core.budget import exceeded, within
from dcdnas.core.trial import ENDED, Ending, EpochResult, FailureKind, Score, State, Trial
from dcdnas.engine.as_trained import AsTrained
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.confirm import Confirming
from dcdnas.engine.halving import Halving
from dcdnas.engine.job import NO_RESULT, WAIT, Job, Outcome, trial_seed
from dcdnas.engine.proposals import Proposal, Proposer
from dcdnas.engine.recovery import failures_in_a_row, lost, recover
from dcdnas.engine.signals import NOTHING, Wish
from dcdnas.engine.standing import Standing
from dcdnas.engine.store import Store, without_collection
from dcdnas.engine.weights import KeptWeights
from dcdnas.space.search_space import SearchSpace

MISSES = 10
"""Number of consecutive refused or duplicate proposals after which a random draw replaces the sampler's next proposal."""

FAILURES = 10
"""Number of consecutive failures that end a search."""


class SearchLoop:
    """Hands out trainings, takes their reports and outcomes, and writes everything to the store.

    Args:
        config: config of the search.
        space: the space compiled from it.
        store: the run's store, open for writing; the search continues from the trials in it.
        until: value of `time.monotonic` at which the search is ended; infinity for never.
        control: returns what the user currently requests from outside, see `dcdnas.engine.signals`.
        died: whether an earlier driver was killed, see `dcdnas.engine.recovery.recover`.
        retry_failed: whether trials that failed in earlier sessions are trained again.
        patience: number of trainings without a change of the front after which no more networks are trained; 0 for no limit.
    """

    def __init__(
        self,
        config: SearchConfig,
        space: SearchSpace,
        store: Store,
        until: float = math.inf,
        control: Callable[[], Wish] = lambda: NOTHING,
        died: bool = True,
        retry_failed: bool = False,
        patience: int = 0,
    ) -> None:
        self.config, self.space, self.store, self.patience = config, space, store, patience
        self.until, self.control = until, control
        self.observe: Callable[[], None] = lambda: None
        self.stopped: Ending | None = None
        self.reason = ""
        self.exhausted = False
        self.standing = Standing(config.budgets, config.goals)
        self._halving = Halving(config.task.scan, config.goals)
        self._running: dict[str, tuple[Job, Proposal | None]] = {}
        self._waiting: dict[int, list[Proposal]] = {}
        self._known: dict[str, Trial] = {}
        self._unwritten: set[int] = set()
        self._begun: Job | None = None  # handed out by the next call, if a full disk refuses to store it
        self._failures = self._misses = 0
        self._as_trained = AsTrained(store.meta("images"), config.task)
        with without_collection():
            past = recover(store, died, retry_failed)
            self.interrupted = sum(trial.state == "interrupted" for trial in past)
            self._proposer = Proposer(config, space, past)
            self._take_over(past, died)
        self.confirming = Confirming(config, space, store, died, retry_failed)
        self.weights = KeptWeights(store, config.keep_weights)

    def next(self) -> Job | Literal["wait"] | None:
        """Returns the next training, `WAIT` when a running one must end first, or None when the search is over.

        A training whose trial could not be written is returned by the next call.
        """
        if self._searched:
            self.confirming.choose(self.trials.values())  # also if the search is stopped now: the run says what is left to do
        if not self.complete and not self.must_end:
            self.stop(self.control().ending)
        if self.stopped:
            return WAIT if self._running else None
        if self._begun or self._wants_more:
            job = self._begun = self._begun or self._next_trial()
            self._write()
            self._begun = None
            if job is not None:
                self.observe()
                return job
        if self._searching:
            return WAIT
        return self._next_alone() or self._next_confirmation()

    def report(self, job: Job, report: EpochResult) -> bool:
        """Records the report of one epoch; returns whether the training continues."""
        if job.key not in self._running or not self.config.goals.measured(report):
            return False
        if job.confirm:
            return True
        trial = self.trials[job.number]
        curve = (*(trial.score.curve if trial.score else ()), report)
        score = Score(report.values, report.epoch, report.seconds, curve)
        self.standing.put(replace(trial, score=score))
        self.store.add_report(job.number, report)
        self.observe()
        if report.epoch >= job.task.epochs or not self.config.early_stopping:
            return True
        return self._halving.keep(job.number, report, trial.cost)

    def end(self, job: Job, outcome: Outcome) -> None:
        """Records the outcome of a training: finished, stopped early or failed. A second call repeats a write that failed."""
        if job.key not in self._running:
            self._write()
            return
        _, proposal = self._running.pop(job.key)
        if proposal is None:
            self.confirming.end(job, outcome)
        else:
            self._end_trial(job, proposal, outcome)
        self.weights.take(job, {trial.number for trial in self.standing.front})
        self.observe()

    def interrupt(self, ending: Ending = Ending.INTERRUPTED, reason: str = "") -> None:
        """Stops the search and marks every running trial as interrupted; a resumed search trains these again."""
        self.stop(ending, reason)
        for job, proposal in self._running.values():
            if proposal is not None:
                self._put(replace(self.trials[job.number], state="interrupted", reason=self.reason, ended=time.time()))
        self._running.clear()
        self._waiting.clear()
        self._write()
        self.observe()

    def requeue(self, reason: str, jobs: Sequence[Job] | None = None, kind: FailureKind = FailureKind.DRIVER_DIED) -> None:
        """Queues running trainings that were lost again; one that was lost too often has failed.

        Args:
            reason: why they could not continue, human-readable.
            jobs: the lost jobs; None for all running ones.
            kind: kind of the failure of a training that was lost too often.
        """
        for job in self.running if jobs is None else [j for j in jobs if j.key in self._running]:
            _, proposal = self._running.pop(job.key)
            if proposal is None:
                self.confirming.again(job, reason, kind)
            else:
                self._lose(job, proposal, reason, kind)
        self._write()
        self.observe()

    def stop(self, ending: Ending | None, reason: str = "") -> None:
        """Hands out no more trainings; running ones may finish.

        Args:
            ending: how the search ends; ignored when it is None or the search was stopped before.
            reason: human-readable sentence; empty for the ending's own.
        """
        if ending is not None and self.stopped is None:
            self.stopped, self.reason = ending, reason or ending.sentence

    @property
    def ending(self) -> Ending | None:
        """How the search has ended; None while it has trainings left to run."""
        if self.stopped is None and self.exhausted and self.ended < self.config.trials:
            return Ending.EXHAUSTED
        if self.stopped is None and self.still and self.ended < self.config.trials:
            return Ending.PLATEAU
        return self.stopped or (Ending.COMPLETED if self.complete else None)

    @property
    def must_end(self) -> bool:
        """Whether running trainings must be interrupted now."""
        if self.complete:
            return False
        wish = self.control()
        if wish.now:
            self.stop(wish.ending)
        if time.monotonic() > self.until:
            self.stop(Ending.TIME_IS_UP)
        return wish.now or self.stopped is Ending.TIME_IS_UP

    @property
    def trials(self) -> dict[int, Trial]:
        """All trials by number."""
        return self.standing.trials

    @property
    def ended(self) -> int:
        """Number of trainings that count towards `-n`."""
        return self.standing.ended

    @property
    def complete(self) -> bool:
        """Whether the requested number of trainings and all confirming trainings have ended."""
        enough = self.ended >= self.config.trials and not self._running
        return enough and self.confirming.planned == self.confirming.confirmed

    @property
    def running(self) -> list[Job]:
        """The jobs that were handed out and have not ended."""
        return [job for job, _ in self._running.values()]

    @property
    def _searching(self) -> int:
        return sum(not job.confirm for job, _ in self._running.values())

    @property
    def _searched(self) -> bool:
        """Whether all requested trainings have ended, so that only confirming ones are left."""
        left = self._running or self._proposer.lost or self._proposer.last
        return self.ended >= self.config.trials and not left

    @property
    def _wants_more(self) -> bool:
        """Whether another network is to be trained now; postponed ones, which run last, count as trained."""
        missing = self.ended + self._searching + len(self._proposer.last) < self.config.trials
        return self._proposer.lost or (missing and not self.exhausted and not self.still)

    @property
    def still(self) -> bool:
        """Whether the front has not changed for `patience` trainings."""
        return 0 < self.patience <= self.standing.still

    @property
    def _unended(self) -> dict[str, int]:
        """Numbers, by identity, of the trials that are in training or postponed to the end."""
        numbers = [*(job.number for job in self.running), *(p.number for p in self._proposer.last if p.number is not None)]
        return {self.trials[number].deployed: number for number in numbers}

    def _next_trial(self) -> Job | None:
        while not self.stopped:
            taken = self._unended
            proposal = self._proposer.next(lambda d, t=taken: d in self._known or d in t, self._misses >= MISSES)  # type: ignore[misc]
            if proposal is None:
                self.exhausted = True
                return None
            job = self._admit(proposal, taken)
            if job is not None:
                return job
        return None

    def _next_alone(self) -> Job | None:
        """Starts the next training that was lost too often; None while anything is running, because it has to run alone."""
        if self._running or not self._proposer.last:
            return None
        job = self._start(self._proposer.last.popleft())
        self._write()
        self.observe()
        return job

    def _admit(self, p: Proposal, taken: Mapping[str, int]) -> Job | None:
        """Starts the proposal, or records why it is not trained."""
        if p.number is not None:
            return self._start(p)
        twin, known = taken.get(p.deployed), self._known.get(p.deployed)
        if not within(p.cost, self.config.budgets):
            self._close(p, "refused", exceeded(p.cost, self.config.budgets))
        elif combination := self.space.forbids(p.decisions):
            self._close(p, "refused", f"the space forbids {combination}")
        elif twin is not None:
            self._waiting.setdefault(twin, []).append(p)
        elif known is not None:
            self._repeat(p, known)
        else:
            self._misses = 0
            return self._start(p)
        self._misses += 1
        return None

    def _start(self, p: Proposal) -> Job:
        number = len(self.trials) if p.number is None else p.number
        seed = trial_seed(self.config.seed, number)
        trial = _trial(number, "running", p, seed=seed, started=time.time())
        self._put(self._as_trained(trial))
        job = Job(
            number,
            p.architecture,
            replace(self.config.task, seed=seed, deadline=self.config.task.deadline or self.standing.hung_after),
            metrics=tuple(p.cost.values),
        )
        self._running[job.key] = (job, p)
        return job

    def _repeat(self, p: Proposal, known: Trial) -> None:
        if known.state == "failed":
            self._close(p, "refused", f"the same network as trial {known.number}, which failed")
        else:
            self._close(p, "replayed", f"the same network as trial {known.number}, which {known.state}", known)

    def _close(self, p: Proposal, state: State, reason: str, known: Trial | None = None) -> None:
        """Records a trial that is not trained, and tells the sampler."""
        now = time.time()
        trial = _trial(len(self.trials), state, p, reason=reason, started=now, ended=now)
        if known is not None and known.score is not None:
            replayed = replace(known.score, seconds=0.0, curve=())
            trial = replace(trial, score=replayed, trained=known.trained, trained_cost=known.trained_cost)
        self._put(trial)
        self._proposer.tell(p.ticket, trial)

    def _next_confirmation(self) -> Job | Literal["wait"] | None:
        job = self.confirming.next(self.trials.values(), alone=not self._running)
        if job is None:
            return WAIT if self._running else None
        job = replace(job, task=replace(job.task, deadline=self.config.task.deadline or self.standing.hung_after))
        self._running[job.key] = (job, None)
        return job

    def _end_trial(self, job: Job, proposal: Proposal, outcome: Outcome) -> None:
        trial = self.trials[job.number]
        finite = outcome.score is None or self.config.goals.measured(outcome.score)
        score = (outcome.score if finite else None) or trial.score
        if not outcome.error and not (finite and score):
            outcome = NO_RESULT
        done = score.epochs if score else 0
        state: State = "failed" if outcome.error else "finished" if done >= job.task.epochs else "stopped"
        reason = outcome.error or ("" if state == "finished" else f"behind at epoch {done}")
        self._conclude(proposal, replace(trial, state=state, score=score, reason=reason, failure=outcome.kind, ended=time.time()))
        self._write()
        self._count_failure(outcome.error)

    def _lose(self, job: Job, proposal: Proposal, reason: str, kind: FailureKind) -> None:
        """Takes a training whose driver or machine died: queued again, or failed when it was lost too often."""
        trial = lost(self.trials[job.number], reason, kind)
        if trial.state != "failed":
            self._put(trial)
            self._proposer.again(proposal, trial)
            return
        self._conclude(proposal, trial)
        self._count_failure(trial.reason)

    def _conclude(self, proposal: Proposal, trial: Trial) -> None:
        """Takes a trial whose training ended, tells the sampler, and repeats its result for the proposals of the same network."""
        self._put(trial)
        self._proposer.tell(proposal.ticket, trial)
        for p in self._waiting.pop(trial.number, []):
            self._repeat(p, trial)
        self.standing.latest = trial  # what observers are shown is the end of this training, and not that of its duplicates

    def _count_failure(self, error: str) -> None:
        self._failures = self._failures + 1 if error else 0
        if self._failures >= FAILURES:
            self.stop(Ending.TOO_MANY_FAILURES, f"{self._failures} trainings in a row failed, the last one with: {error}")

    def _put(self, trial: Trial) -> None:
        """Takes a new or changed trial, which the next `_write` stores."""
        self._unwritten.add(trial.number)
        self._remember(trial)

    def _remember(self, trial: Trial) -> None:
        self.standing.put(trial)
        if trial.state in (*ENDED, "failed"):
            self._known.setdefault(trial.deployed, trial)
        if trial.state in ("failed", "interrupted"):
            self._halving.forget(trial.number)

    def _write(self) -> None:
        """Writes all trials that the event changed in one transaction."""
        if self._unwritten:
            with self.store.transaction():
                for number in self._unwritten:
                    self.store.add(self.trials[number])
            self._unwritten.clear()

    def _take_over(self, past: Sequence[Trial], died: bool) -> None:
        """Continues from an earlier session. If that one ended because of its failures, one more failure ends this one too."""
        for trial in sorted(past, key=lambda t: (t.ended, t.number)):
            self._remember(trial)
        reports = self.store.reports([self._halving.rung])
        for trial in past:
            for report in reports.get(trial.number, ()) if trial.state in ENDED else ():
                self._halving.reached(trial.number, report, trial.cost)
            self._misses = self._misses + 1 if trial.state in ("refused", "replayed") else 0
        failed = failures_in_a_row(past)
        self._failures = len(failed)
        if died and len(failed) >= FAILURES:  # the driver was killed before it could end the search for them
            self._failures -= 1
            self._count_failure(failed[-1].reason)


def _trial(number: int, state: State, p: Proposal, **known: Any) -> Trial:
    """Builds a trial from a proposal."""
    return Trial(number, state, p.architecture, p.decisions, p.cost, origin=p.origin, lost=p.lost, deployed=p.deployed, **known)
