"""Defines the entry of a sampler: an Optuna sampler and what it is told, or a direct sampler, which works without Optuna."""

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
    """The search that a sampler is made for.

    Args:
        space: space whose networks are proposed.
        budgets: budgets that every proposal meets.
        goals: objectives and costs to optimise.
        seed: seed of the search.
    """

    space: SearchSpace
    budgets: tuple[Budget, ...]
    goals: Goals
    seed: int = 0


@dataclass(frozen=True)
class Known:
    """Everything known of a search at one moment.

    Args:
        trials: trials that have ended, including refused and replayed ones, ordered by number.
        running: decisions of the proposals that have not ended, in the order in which they were made.
        seen: identities of the networks of both.
    """

    trials: tuple[Trial, ...] = ()
    running: tuple[Decisions, ...] = ()
    seen: frozenset[str] = frozenset()

    @property
    def asked(self) -> int:
        """Number of networks proposed so far; together with the seed it seeds the random draws of a proposal."""
        return len(self.trials) + len(self.running)

    @cached_property
    def finished(self) -> tuple[Trial, ...]:
        """The trials that were trained to the end."""
        return tuple(t for t in self.trials if t.state == "finished" and t.score is not None)


class Direct(ABC):
    """Base of the samplers that propose from the known trials, without Optuna.

    A proposal may depend only on the seed and on what is known, so that a resumed search continues as if it had not been
    interrupted. State that is kept between two proposals may only save time.

    Args:
        search: the search that the sampler is made for.
    """

    def __init__(self, search: Search) -> None:
        self.search = search

    @abstractmethod
    def propose(self, known: Known) -> Decisions | None:
        """Returns the decisions of a new network within the budgets; None when none is found."""


def _by_itself(seed: int, trials: int) -> BaseSampler:
    raise TypeError("a sampler that proposes from all that is known has no Optuna sampler")


@dataclass(frozen=True)
class Sampler:
    """Describes how to make a sampler for a run: an Optuna sampler or a direct one.

    Args:
        make: (seed of a proposal, trainings of the run) -> an Optuna sampler, which reads the constraints that the study stores.
        flat: whether every decision is always suggested and inactive ones are ignored, for samplers that do not support
            conditional parameters.
        told_refusals: whether the sampler is told networks over budget; one that cannot use them is only asked again.
        noted: (finished trainings before, trainings of the run) -> system attributes that the Optuna sampler itself would set on
            a finished training, so that a resumed search continues with them.
        carried: attributes of the Optuna sampler that pass from one proposal to the next; they may only save time. Every
            proposal uses a new sampler object, so that a resumed search makes the same proposals as an uninterrupted one.
        direct: a subclass of `Direct`; the arguments above then do not apply.
        extra: extra of the package dcdnas that installs the sampler's additional requirements; empty for none.
    """

    make: Callable[[int, int], BaseSampler] = _by_itself
    flat: bool = False
    told_refusals: bool = True
    noted: Callable[[int, int], Mapping[str, Any]] = lambda finished, trials: {}
    carried: tuple[str, ...] = ()
    direct: type[Direct] | None = None
    extra: str = ""

    def check(self, name: str) -> None:
        """Raises MissingPackageError when a package that the sampler of this name needs is not installed."""
        if self.extra:
            need(self.extra, f"--sampler {name}")
