"""Snapshots of a running search, for the progress line, `--json` and trackers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dcdnas.core import pareto
from dcdnas.core.objective import Bounds, Objective
from dcdnas.core.trial import Trial
from dcdnas.core.uncertainty import like_guessing
from dcdnas.engine.loop import SearchLoop


@dataclass(frozen=True)
class Progress:
    """State of a search at one moment.

    Args:
        asked: requested number of trainings.
        ended: number of trainings that count towards it.
        states: number of trials by state.
        confirmed: number of planned confirming trainings that have ended.
        to_confirm: number of planned confirming trainings; None before they are planned.
        objective: the primary objective, by which trials are compared.
        best: the best finished trial within the budgets, by single trainings.
        hypervolume: hypervolume of the front, 0-1.
        seconds: seconds since this session began.
        left: estimated seconds for the remaining trainings; None before the first training of the session has ended.
        latest: the trial that changed last.
        guessing: whether the best network cannot be distinguished from guessing.
        further: the further objectives that the search optimises.
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
    guessing: bool
    further: tuple[Objective, ...] = ()


class Watch:
    """Takes snapshots of a loop; the hypervolume is recomputed only when the front has changed.

    Args:
        loop: loop of the search.
        bounds: ranges of the objectives and costs, fixed at the start of the run.
        images: number of images behind each reading; 0 if unknown.
    """

    def __init__(self, loop: SearchLoop, bounds: Bounds, images: int = 0) -> None:
        self.loop, self.bounds, self.images = loop, bounds, images
        self._since, self._before = time.monotonic(), loop.ended
        self._volume: tuple[tuple[Trial, ...], float] = ((), 0.0)

    def look(self) -> Progress:
        """Takes a snapshot of the search."""
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
            guessing=self._guessing(standing.best),
            further=loop.config.goals.objectives[1:],
        )

    def _guessing(self, best: Trial | None) -> bool:
        objective = self.loop.config.goals.primary
        value = objective.of(best.score) if best else None
        if value is None or not objective.counted or not self.images:
            return False
        return like_guessing(value, objective.worst, self.images)

    def _hypervolume(self) -> float:
        line = self.loop.standing.front
        if line is not self._volume[0]:
            self._volume = (line, pareto.hypervolume(line, self.loop.config.budgets, self.loop.config.goals, self.bounds))
        return self._volume[1]
