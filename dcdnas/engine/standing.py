"""Keeps the trials of a search with their counts, front and best network, updated trial by trial.

A snapshot therefore costs the same after ten thousand trials as after ten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dcdnas.core import pareto
from dcdnas.core.budget import Budget
from dcdnas.core.objective import Goals
from dcdnas.core.trial import ENDED, State, Trial

HUNG, LEAST, FIRST = 50, 600.0, 6 * 3600.0
"""A training counts as hung after 50 times the duration of the longest one so far, because a dynamic layer takes up to 20 times
as long as a static one, but not before ten minutes. As long as no training has finished, it counts as hung after six hours."""


class Standing:
    """All trials of a run, with their counts, front and best trial.

    Args:
        budgets: budgets within which a trial may be the best or on the front.
        goals: objectives and costs by which trials are compared.
    """

    def __init__(self, budgets: Sequence[Budget], goals: Goals) -> None:
        self.budgets, self.goals = budgets, goals
        self.trials: dict[int, Trial] = {}
        self.states: Counter[State] = Counter()
        self._front = pareto.Front(budgets, goals)
        self.best: Trial | None = None
        self.latest: Trial | None = None
        self.longest = 0.0
        self.still = 0
        """Number of trainings that have ended since the front last changed."""

    def put(self, trial: Trial) -> None:
        """Takes a new trial, or a new state of a known one that has not finished."""
        before = self.trials.get(trial.number)
        if before is not None:
            self.states[before.state] -= 1
        self.states[trial.state] += 1
        self.still += trial.state in ENDED and (before is None or before.state not in ENDED)
        self.trials[trial.number] = self.latest = trial
        if trial.state == "finished" and trial.score is not None:
            self.longest = max(self.longest, trial.score.seconds)
        if self._front.put(trial):
            self.still = 0
            self.best = pareto.best(self.front, self.budgets, self.goals)

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials of the front, from the cheapest to the most expensive."""
        return self._front.trials

    @property
    def hung_after(self) -> float:
        """Seconds after which a training counts as hung, derived from the trainings so far."""
        return max(LEAST, HUNG * self.longest) if self.longest else FIRST

    @property
    def ended(self) -> int:
        """Number of trainings that count towards `-n`."""
        return sum(self.states[s] for s in ENDED)
