"""How a search stands, for a progress line and for `--json`."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from dcdnas import front
from dcdnas.engine.loop import SearchLoop
from dcdnas.records import Trial


@dataclass(frozen=True)
class Progress:
    """A search at one moment.

    Args:
        asked: trainings asked for.
        ended: trainings that count.
        states: number of trials by state.
        confirmed: confirming trainings that ended.
        to_confirm: how many are planned; None before they are.
        best: the most accurate finished trial within the budgets, in a single run.
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
    best: Trial | None
    hypervolume: float
    seconds: float
    left: float | None
    latest: Trial | None


class Watch:
    """Takes snapshots of a loop.

    Args:
        loop: of the search.
        bounds: of the objectives, fixed at the start of the run.
    """

    def __init__(self, loop: SearchLoop, bounds: front.Bounds) -> None:
        self.loop, self.bounds = loop, bounds
        self._since, self._before = time.monotonic(), loop.ended

    def look(self) -> Progress:
        """The search as it stands."""
        loop, trials = self.loop, list(self.loop.trials.values())
        seconds, done = time.monotonic() - self._since, loop.ended - self._before
        confirming = loop.confirming
        left = seconds / done * max(0, loop.config.trials - loop.ended) if done else None
        return Progress(
            asked=loop.config.trials,
            ended=loop.ended,
            states=dict(Counter(t.state for t in trials)),
            confirmed=len(confirming.ended),
            to_confirm=confirming.planned,
            best=front.best(trials, loop.config.budgets),
            hypervolume=front.hypervolume(trials, loop.config.budgets, self.bounds),
            seconds=seconds,
            left=left,
            latest=max(trials, key=lambda t: (max(t.ended, t.started), t.number), default=None),
        )
