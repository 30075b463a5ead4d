"""What the files of Optuna's samplers share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial


def population(trials: int) -> int:
    """At least five generations: with Optuna's default of 50 a run of 50 trainings would be all its first, random one."""
    return max(4, min(50, trials // 5))


@contextmanager
def not_warned() -> Iterator[None]:
    """Leaves out that Optuna may change what it made; which version is used is pinned, and written into the run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def chosen_by_generation(
    rng: np.random.RandomState, generation: int, choose: Callable[[], list[FrozenTrial]]
) -> list[FrozenTrial]:
    """Parents that depend on their generation only, and not on which of its proposals asks for them first.

    Args:
        rng: that `choose` draws from; goes on as if nothing had been drawn.
        generation: whose parents they are.
        choose: selects them.
    """
    before = rng.get_state()
    rng.seed(generation)
    try:
        return sorted(choose(), key=lambda trial: trial.number)
    finally:
        rng.set_state(before)
