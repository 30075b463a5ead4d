"""What a page reads a run from: the dashboard keeps one up to date, a report reads it once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from dcdnas.core.trial import EpochResult, Trial

if TYPE_CHECKING:
    from dcdnas.results import Moment, Note, Run

Made = TypeVar("Made")


class Source(Protocol):
    """A run with what is derived from it."""

    @property
    def run(self) -> Run:
        """The run; its trials may come without their learning curves."""

    @property
    def version(self) -> int:
        """Grows with every change."""

    @property
    def front(self) -> Sequence[Trial]:
        """The non-dominated trials, from the cheapest on."""

    @property
    def best(self) -> Trial | None:
        """The run's best network."""

    @property
    def moments(self) -> Sequence[Moment]:
        """The hypervolume after each training that ended."""

    @property
    def operators(self) -> set[str]:
        """Names of all operators that its trials use."""

    @property
    def notes(self) -> Mapping[int, Note]:
        """Stars and notes, by trial."""

    @property
    def notes_problem(self) -> str:
        """Why stars and notes cannot be shown; empty when they can."""

    def curve(self, number: int) -> Sequence[EpochResult]:
        """The learning curve of a trial as far as it has come."""

    def curves(self) -> Mapping[int, Sequence[float]]:
        """Epoch -> values of the primary objective after it, of all trainings that ended."""

    def networks(self) -> Mapping[int, str]:
        """Identity of each trial's network."""

    def since(self, version: int) -> Sequence[Trial]:
        """The trials that changed after a version."""

    def remembered(self, what: str, make: Callable[[], Made]) -> Made:
        """Something derived from the run, made once for each version."""
