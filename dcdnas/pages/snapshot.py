"""A source of pages for a run that is read once and does not change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dcdnas.core.trial import EpochResult, Trial
from dcdnas.errors import RunError
from dcdnas.results.notes import Note, read_notes

if TYPE_CHECKING:
    from dcdnas.results import Moment, Run

Made = TypeVar("Made")


class Still:
    """A `Source` that does not change.

    Args:
        run: including the learning curves of its trials.
    """

    version = 0

    def __init__(self, run: Run) -> None:
        self.run = run
        self.front: Sequence[Trial] = run.front()
        self.best = run.best
        self.operators = {name for t in run.trials for name in t.architecture.operators.values()}
        self.notes, self.notes_problem = _notes(run)
        self._made: dict[str, Any] = {}

    @property
    def moments(self) -> Sequence[Moment]:
        """The hypervolume after each training that ended."""
        return self.run.history

    def curve(self, number: int) -> Sequence[EpochResult]:
        """The learning curve of a trial."""
        score = self.run.by_number[number].score
        return score.curve if score else ()

    def curves(self) -> Mapping[int, Sequence[float]]:
        """Epoch -> values of the primary objective after that epoch, of all trainings that have ended."""
        found: dict[int, list[float]] = {}
        for trial in self.run.trials:
            for report in self.curve(trial.number) if trial.state in ("finished", "stopped") else ():
                value = self.run.objective.of(report)
                if value is not None:
                    found.setdefault(report.epoch, []).append(value)
        return dict(sorted(found.items()))

    def networks(self) -> Mapping[int, str]:
        """Trial number -> identity of its network."""
        return self.remembered("networks", lambda: {t.number: t.deployed for t in self.run.trials})

    def since(self, version: int) -> Sequence[Trial]:
        """Always empty, because nothing changes."""
        return ()

    def remembered(self, what: str, make: Callable[[], Made]) -> Made:
        """Returns the value named `what`, which `make` computes once."""
        if what not in self._made:
            self._made[what] = make()
        made: Made = self._made[what]
        return made


def _notes(run: Run) -> tuple[Mapping[int, Note], str]:
    """Stars and notes by trial number, and why they cannot be shown (empty when they can)."""
    try:
        return read_notes(run.folder), ""
    except RunError as error:
        return {}, str(error)
