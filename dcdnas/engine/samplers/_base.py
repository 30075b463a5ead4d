"""What a sampler is to the search: an Optuna sampler and how it wants to be fed, or one that proposes from all that is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.samplers import BaseSampler

from dcdnas.core.budget import Budget
from dcdnas.core.extras import need
from dcdnas.core.objective import Goals
from dcdnas.core.trial import Trial
from dcdnas.space.search_space import Decisions, SearchSpace


@dataclass(frozen=True)
class Search:
    """What a sampler is made for.

    Args:
        space: whose networks are proposed.
        budgets: that every proposal keeps.
        goals: objectives and costs that are weighed against each other.
        seed: of the search.
    """

    space: SearchSpace
    budgets: tuple[Budget, ...]
    goals: Goals
    seed: int = 0


@dataclass(frozen=True)
class Known:
    """All that has become of a search at one moment.

    Args:
        trials: that have ended, refusals and repeats among them, by their numbers.
        running: decisions of the proposals that have not ended, in their order.
        seen: identities of all their networks.
    """

    trials: tuple[Trial, ...] = ()
    running: tuple[Decisions, ...] = ()
    seen: frozenset[str] = frozenset()

    @property
    def asked(self) -> int:
        """How many networks were proposed so far: with the seed it decides what chance does."""
        return len(self.trials) + len(self.running)

    @cached_property
    def finished(self) -> tuple[Trial, ...]:
        """The trainings that have reached their end."""
        return tuple(t for t in self.trials if t.state == "finished" and t.score is not None)


class Direct(ABC):
    """A sampler that proposes from all that is known, without Optuna.

    What it proposes depends on the seed and on what is known only, so that a resumed search goes on as if it had not been
    interrupted; what it remembers between two proposals may save time and nothing else.

    Args:
        search: that it is made for.
    """

    def __init__(self, search: Search) -> None:
        self.search = search

    @abstractmethod
    def propose(self, known: Known) -> Decisions | None:
        """The decisions of a network within the budgets that was not seen; None when there seems to be none."""


def _by_itself(seed: int, trials: int) -> BaseSampler:
    raise TypeError("a sampler that proposes from all that is known has no Optuna sampler")


@dataclass(frozen=True)
class Sampler:
    """How to make a sampler for a run: one of Optuna, or one that proposes from all that is known.

    Args:
        make: (seed of a proposal, trainings of the run) -> a sampler of Optuna; it reads the constraints that the study stores.
        flat: whether every decision is always suggested and the inactive ones ignored, for samplers that do not know
            conditional parameters.
        told_refusals: whether networks over budget are told; a sampler that cannot use them is asked again instead.
        noted: (finished trainings before, trainings of the run) -> what the sampler itself notes on a finished training, so
            that a resumed search goes on with it.
        carried: attributes of the Optuna sampler that go from one proposal to the next: what saves time and nothing else. A
            sampler is made anew for each proposal, so that a resumed search proposes what it would have proposed otherwise.
        direct: a subclass of `Direct`, which takes the place of all the others.
        extra: of dcdnas, that installs what it needs beside what is always there; empty for nothing.
    """

    make: Callable[[int, int], BaseSampler] = _by_itself
    flat: bool = False
    told_refusals: bool = True
    noted: Callable[[int, int], Mapping[str, Any]] = lambda finished, trials: {}
    carried: tuple[str, ...] = ()
    direct: type[Direct] | None = None
    extra: str = ""

    def check(self, name: str) -> None:
        """Raises MissingPackageError where what the sampler of this name needs is not installed."""
        if self.extra:
            need(self.extra, f"--sampler {name}")
