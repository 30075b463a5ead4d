"""The progress of a search: the hypervolume and the best network after each of its trainings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dcdnas.core import pareto
from dcdnas.core.budget import Budget
from dcdnas.core.objective import Bounds, Goals
from dcdnas.core.trial import ENDED, Trial


@dataclass(frozen=True)
class Moment:
    """The state of a search after one more training had finished or been stopped early.

    Args:
        ended: number of trainings that had finished or been stopped early.
        seconds: computing time of these trainings.
        epochs: trained in them.
        hypervolume: of the front, 0-1.
        best: the primary objective's value of the best network within the budgets; None before the first.
    """

    ended: int
    seconds: float
    epochs: int
    hypervolume: float
    best: float | None


class History:
    """The hypervolume and the best network after each finished or stopped training, extended as more of them are added.

    Args:
        budgets: within which a network can be the best.
        goals: objectives and cost metrics of the front.
        bounds: worst and best value of each of them.
    """

    def __init__(self, budgets: Sequence[Budget], goals: Goals, bounds: Bounds) -> None:
        self._budgets, self._goals, self._bounds = budgets, goals, bounds
        self._begin()

    def _begin(self) -> None:
        self._front = pareto.Front(self._budgets, self._goals)
        self._counted: dict[int, Trial] = {}
        self.moments: list[Moment] = []

    def extend(self, trials: Iterable[Trial]) -> list[Moment]:
        """Adds the trials that have finished or stopped and were not added before; returns all moments, ordered by their ends.

        Where a trial arrives after others that ended later (the clock was set back), all moments are computed again.
        """
        new = [t for t in trials if t.state in ENDED and t.score and t.number not in self._counted]
        last = next(reversed(self._counted.values()), None)
        if last and any(_end(t) < _end(last) for t in new):
            new += self._counted.values()
            self._begin()
        for trial in sorted(new, key=_end):
            self._counted[trial.number] = trial
            self.moments.append(self._after(trial))
        return self.moments

    @property
    def line(self) -> tuple[Trial, ...]:
        """The front, from the cheapest to the most expensive network."""
        return self._front.trials

    def _after(self, trial: Trial) -> Moment:
        last = self.moments[-1] if self.moments else Moment(0, 0.0, 0, 0.0, None)
        volume, best = last.hypervolume, last.best
        if self._front.put(trial):
            volume = pareto.hypervolume(self.line, self._budgets, self._goals, self._bounds)
            best = self._goals.primary.of(max(self.line, key=self._goals.gain).score)
        seconds, epochs = (trial.score.seconds, trial.score.epochs) if trial.score else (0.0, 0)
        return Moment(last.ended + 1, last.seconds + seconds, last.epochs + epochs, volume, best)


def _end(trial: Trial) -> tuple[float, int]:
    return trial.ended, trial.number
