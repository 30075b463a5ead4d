"""The one loop of a search: ask, price, train, tell. Executors only run the trainings it hands out.

Cheap before dear: a proposal is resolved, priced, held against the budgets and against everything known before anything is
trained. Every event is one transaction of the store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from dcdnas.budget import exceeded, within
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.confirm import Confirming, derived_seed
from dcdnas.engine.halving import Halving
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.proposals import Proposal, Proposer
from dcdnas.engine.recovery import ATTEMPTS, Memory, recover
from dcdnas.engine.store import Store
from dcdnas.records import ENDED, Report, Score, State, Trial
from dcdnas.space import SearchSpace

WAIT: Literal["wait"] = "wait"
"""Nothing to hand out before a running training ends."""

TIME_IS_UP = "time is up"

MISSES = 30
"""Refusals and repeats in a row after which the sampler's next proposal is replaced by a random draw."""

FAILURES = 10
"""Failures in a row that end a search."""


class SearchLoop:
    """Hands out trainings, takes their reports and ends, and remembers everything in the store.

    Args:
        config: of the search.
        space: compiled from it.
        store: open for writing; an earlier session's trials are continued.
        observe: called after each event.
        until: time at which everything ends; infinity for never.
        control: what was asked from outside, see `dcdnas.engine.control`.
    """

    def __init__(
        self,
        config: SearchConfig,
        space: SearchSpace,
        store: Store,
        observe: Callable[[], None] = lambda: None,
        until: float = math.inf,
        control: Callable[[], str] = lambda: "",
    ) -> None:
        self.config, self.space, self.store = config, space, store
        self.observe, self.until, self.control = observe, until, control
        self.stopped = ""
        self.exhausted = False
        self.trials: dict[int, Trial] = {}
        self._halving = Halving(config.task.epochs, config.minimize)
        self._running: dict[str, tuple[Job, Proposal | None]] = {}
        self._waiting: dict[int, list[Proposal]] = {}
        self._known: dict[str, Trial] = {}
        self._attempts: dict[int, int] = {}
        self._failures = self._misses = 0
        memory = recover(store)
        self._proposer = Proposer(config, space, memory.trials)
        self._take_over(memory)
        self.confirming = Confirming(config, store)

    # what executors call

    def next(self) -> Job | Literal["wait"] | None:
        """The next training; `WAIT` when one must end first; None when the search is over."""
        if self.must_end or self.control():
            self.stop("stopped as asked")
        if self.stopped:
            return WAIT if self._running else None
        if self.ended + self._searching < self.config.trials and not self.exhausted:
            with self.store.transaction():
                job = self._next_trial()
            if job is not None:
                self.observe()
                return job
        if self._searching:
            return WAIT
        return self._next_confirmation()

    def report(self, job: Job, report: Report) -> bool:
        """Takes one epoch's report; returns whether the training goes on."""
        if job.confirm or job.key not in self._running:
            return job.confirm
        trial = self.trials[job.number]
        curve = (*(trial.score.curve if trial.score else ()), report)
        score = Score(report.accuracy, report.loss, report.epoch, report.seconds, curve)
        self.trials[job.number] = trial = replace(trial, score=score)
        with self.store.transaction():
            self.store.add_report(job.number, report)
        self.observe()
        if report.epoch >= job.task.epochs or not self.config.early_stopping:
            return True
        return self._halving.keep(job.number, report.epoch, report.accuracy, trial.cost)

    def end(self, job: Job, outcome: Outcome) -> None:
        """Takes the end of a training: finished, stopped early or failed."""
        if job.key not in self._running:
            return
        _, proposal = self._running.pop(job.key)
        if proposal is None:
            self.confirming.end(job, outcome)
        else:
            self._end_trial(job, proposal, outcome)
        self.observe()

    def interrupt(self, reason: str) -> None:
        """Marks every running training interrupted; a resumed search asks them again."""
        with self.store.transaction():
            for job, _ in self._running.values():
                if not job.confirm:
                    self._put(replace(self.trials[job.number], state="interrupted", reason=reason, ended=time.time()))
        self._running.clear()
        self._waiting.clear()
        self.stopped = self.stopped or reason
        self.observe()

    def requeue(self, reason: str) -> None:
        """Marks every running training interrupted and asks it again in this session, unless it was running before."""
        with self.store.transaction():
            for job, proposal in self._running.values():
                if proposal is None:
                    self.confirming.again(job)
                    continue
                lost = proposal.attempt >= ATTEMPTS
                state: State = "failed" if lost else "interrupted"
                trial = replace(self.trials[job.number], state=state, reason=reason, ended=time.time())
                self._put(trial, proposal.attempt)
                self._proposer.tell(proposal.ticket, trial)
                if not lost:
                    self._proposer.again(trial, proposal.attempt + 1)
        self._running.clear()
        self._waiting.clear()

    def stop(self, reason: str) -> None:
        """Hands out nothing more; what is running may end."""
        self.stopped = self.stopped or reason

    @property
    def must_end(self) -> bool:
        """Whether what is running must be interrupted now."""
        if time.time() > self.until:
            self.stop(TIME_IS_UP)
        return self.stopped == TIME_IS_UP or self.control() == "now"

    # what a person asks

    @property
    def ended(self) -> int:
        """Trainings that count for `-n`."""
        return sum(t.state in ENDED for t in self.trials.values())

    @property
    def running(self) -> list[Job]:
        """The trainings handed out and not ended."""
        return [job for job, _ in self._running.values()]

    @property
    def _searching(self) -> int:
        return sum(not job.confirm for job, _ in self._running.values())

    # proposing

    def _next_trial(self) -> Job | None:
        while not self.stopped:
            running = {self.trials[job.number].architecture.digest for job in self.running}
            proposal = self._proposer.next(self._known.keys() | running, at_random=self._misses >= MISSES)
            if proposal is None:
                self.exhausted = True
                return None
            job = self._admit(proposal)
            if job is not None:
                return job
        return None

    def _admit(self, p: Proposal) -> Job | None:
        """Starts the proposal, or writes down why it is not trained."""
        digest = p.architecture.digest
        twin = next((j.number for j in self.running if self.trials[j.number].architecture.digest == digest), None)
        known = self._known.get(digest)
        if not within(p.cost, self.config.budgets):
            self._close(p, "refused", exceeded(p.cost, self.config.budgets))
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
        number = len(self.trials)
        seed = p.seed if p.seed is not None else derived_seed(self.config.seed, number)
        trial = Trial(number, "running", p.architecture, p.decisions, p.cost, None, seed, "", p.origin, time.time())
        self._put(trial, p.attempt)
        job = Job(number, p.architecture, replace(self.config.task, seed=seed, deadline=self._deadline()))
        self._running[job.key] = (job, p)
        return job

    def _deadline(self) -> float:
        """Seconds a training may take: as configured, else ten times the longest one so far and never under ten minutes."""
        longest = max((t.score.seconds for t in self.trials.values() if t.state == "finished" and t.score), default=0.0)
        return self.config.task.deadline or max(600.0, 10 * longest)

    def _repeat(self, p: Proposal, known: Trial) -> None:
        if known.state == "failed":
            self._close(p, "refused", f"the same network as trial {known.number}, which failed")
        else:
            self._close(p, "replayed", f"the same network as trial {known.number}, which {known.state}", known.score)

    def _close(self, p: Proposal, state: State, reason: str, score: Score | None = None) -> None:
        """Writes a trial that is not trained, and tells the sampler."""
        now = time.time()
        replayed = replace(score, seconds=0.0, curve=()) if score else None
        trial = Trial(
            len(self.trials), state, p.architecture, p.decisions, p.cost, replayed, p.seed or 0, reason, p.origin, now, now
        )
        self._put(trial)
        self._proposer.tell(p.ticket, trial)

    def _next_confirmation(self) -> Job | Literal["wait"] | None:
        job = self.confirming.next(list(self.trials.values()))
        if job is None:
            return WAIT if self._running else None
        self._running[job.key] = (job, None)
        return job

    # ending

    def _end_trial(self, job: Job, proposal: Proposal, outcome: Outcome) -> None:
        trial = self.trials[job.number]
        score = outcome.score or trial.score
        error = outcome.error or (
            "" if score and math.isfinite(score.accuracy) else "the training ended without a finite accuracy"
        )
        state: State = "failed" if error else "finished" if score and score.epochs >= job.task.epochs else "stopped"
        reason = error if error else "" if state == "finished" else f"behind at epoch {score.epochs if score else 0}"
        trial = replace(trial, state=state, score=score, reason=reason, ended=time.time())
        with self.store.transaction():
            self._put(trial)
            for p in self._waiting.pop(job.number, []):
                self._repeat(p, trial)
        self._proposer.tell(proposal.ticket, trial)
        self._failures = self._failures + 1 if error else 0
        if self._failures >= FAILURES:
            self.stop(f"{FAILURES} trainings in a row failed, the last one with: {error}")

    def _put(self, trial: Trial, attempt: int = 0) -> None:
        self.trials[trial.number] = trial
        attempt = self._attempts.setdefault(trial.number, attempt or 1)
        if trial.state in (*ENDED, "failed"):
            self._known.setdefault(trial.architecture.digest, trial)
        self.store.add(trial, attempt)

    def _take_over(self, memory: Memory) -> None:
        """Goes on where an earlier session ended; what was interrupted is asked again."""
        with self.store.transaction():
            for trial in memory.trials:
                self._put(trial, memory.attempts[trial.number])
        for trial, attempt in memory.again:
            self._proposer.again(trial, attempt)
        for trial in memory.trials:
            for report in trial.score.curve if trial.score and trial.state in ENDED else ():
                self._halving.keep(trial.number, report.epoch, report.accuracy, trial.cost)
