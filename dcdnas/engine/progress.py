"""Snapshots of a running search, for the progress line, `--json` and trackers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dcdnas.core import pareto
from dcdnas.core.objective import Bounds, Objective
from dcdnas.core.trial import Trial
from dcdnas.engine.loop import SearchLoop


@dataclass(frozen=True)
class Progress:
    """A search at one moment.

    Args:
        asked: trainings asked for.
        ended: trainings that count.
        states: number of trials by state.
        confirmed: confirming trainings that ended, of those that are planned.
        to_confirm: how many are planned; None before they are.
        objective: that says what is best.
        best: the best finished trial within the budgets, by single trainings.
        hypervolume: 0-1.
        seconds: since this session began.
        left: seconds that the rest will take at this pace; None before the first end.
        latest: the trial that changed last.
    """

    asked: int
    ended: int
    states: dict[str, int]
    confirmed: int
    to_confirm: int | None
    objective: Objective
    best: Trial | None
    hypervolume: float
    seconds: float
    left: float | None
    latest: Trial | None


class Watch:
    """Takes snapshots of a loop; the hypervolume is computed when the front has changed.

    Args:
        loop: of the search.
        bounds: of the objectives, fixed at the start of the run.
    """

    def __init__(self, loop: SearchLoop, bounds: Bounds) -> None:
        self.loop, self.bounds = loop, bounds
        self._since, self._before = time.monotonic(), loop.ended
        self._volume: tuple[tuple[Trial, ...], float] = ((), 0.0)

    def look(self) -> Progress:
        """The search as it stands."""
        loop, standing = self.loop, self.loop.standing
        seconds, done = time.monotonic() - self._since, loop.ended - self._before
        return Progress(
            asked=loop.config.trials,
            ended=loop.ended,
            states={state: count for state, count in standing.states.items() if count},
            confirmed=loop.confirming.confirmed,
            to_confirm=loop.confirming.planned,
            objective=loop.config.goals.primary,
            best=standing.best,
            hypervolume=self._hypervolume(),
            seconds=seconds,
            left=seconds / done * max(0, loop.config.trials - loop.ended) if done else None,
            latest=standing.latest,
        )

    def _hypervolume(self) -> float:
        line = self.loop.standing.front
        if line is not self._volume[0]:
            self._volume = (line, pareto.hypervolume(line, self.loop.config.budgets, self.loop.config.goals, self.bounds))
        return self._volume[1]
