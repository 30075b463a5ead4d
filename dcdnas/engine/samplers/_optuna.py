"""Shared parts of the samplers that wrap those of Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial


def population(trials: int) -> int:
    """Population size for at least five generations; with Optuna's default of 50, 50 trainings would be one random generation."""
    return max(4, min(50, trials // 5))


@contextmanager
def not_warned() -> Iterator[None]:
    """Suppresses Optuna's warnings about experimental features; the run records the version of Optuna that it uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def chosen_by_generation(
    rng: np.random.RandomState, generation: int, choose: Callable[[], list[FrozenTrial]]
) -> list[FrozenTrial]:
    """Selects parents that depend only on the generation, and not on which of its proposals asks for them first.

    Args:
        rng: random state that `choose` draws from; it is restored afterwards.
        generation: index of the generation, which seeds the selection.
        choose: function that selects the parents.
    """
    before = rng.get_state()
    rng.seed(generation)
    try:
        return sorted(choose(), key=lambda trial: trial.number)
    finally:
        rng.set_state(before)
