"""The interface through which pages read a run. The dashboard keeps its implementation up to date; a report reads once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from dcdnas.core.trial import EpochResult, Trial

if TYPE_CHECKING:
    from dcdnas.results import Moment, Note, Run

Made = TypeVar("Made")


class Source(Protocol):
    """A run together with data derived from it."""

    @property
    def run(self) -> Run:
        """The run; its trials may lack their learning curves."""

    @property
    def version(self) -> int:
        """A number that grows with every change of the run."""

    @property
    def front(self) -> Sequence[Trial]:
        """The non-dominated trials, cheapest first."""

    @property
    def best(self) -> Trial | None:
        """The run's best network."""

    @property
    def moments(self) -> Sequence[Moment]:
        """The hypervolume after each training that ended."""

    @property
    def operators(self) -> set[str]:
        """Names of all operators that the trials use."""

    @property
    def notes(self) -> Mapping[int, Note]:
        """Stars and notes by trial number."""

    @property
    def notes_problem(self) -> str:
        """Why stars and notes cannot be shown; empty when they can."""

    def curve(self, number: int) -> Sequence[EpochResult]:
        """The learning curve of a trial, up to the latest epoch of one that is still training."""

    def curves(self) -> Mapping[int, Sequence[float]]:
        """Epoch -> values of the primary objective after that epoch, of all trainings that have ended."""

    def networks(self) -> Mapping[int, str]:
        """Trial number -> identity of its network."""

    def since(self, version: int) -> Sequence[Trial]:
        """The trials that changed after a version."""

    def remembered(self, what: str, make: Callable[[], Made]) -> Made:
        """Returns the value named `what`, which `make` computes once for each version of the run."""
