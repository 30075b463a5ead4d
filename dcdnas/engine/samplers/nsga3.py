"""NSGA-III: a genetic algorithm that keeps the front diverse by reference directions; for three or more objectives.

As for NSGA-II, unfinished trials are not told, and the population size depends on the number of trainings of the run.

Reference: Deb & Jain, "An Evolutionary Many-Objective Optimization Algorithm Using Reference-Point-Based Nondominated Sorting
Approach, Part I", IEEE TEC 18(4), 2014; as implemented by Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.samplers import BaseSampler, NSGAIIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from dcdnas.engine.samplers._base import Sampler
from dcdnas.engine.samplers._optuna import chosen_by_generation, not_warned, population

__all__ = ["nsga3"]


class NSGA3(NSGAIIISampler):
    """Optuna's sampler, except that the parents of a generation do not depend on the proposal that selects them."""

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """Selects the parents of a generation, ordered by trial number."""
        return chosen_by_generation(self._rng.rng, generation, lambda: super(NSGA3, self).select_parent(study, generation))


def make(seed: int, trials: int) -> BaseSampler:
    """Makes Optuna's sampler with its default mutation and crossover."""
    with not_warned():
        return NSGA3(seed=seed, population_size=population(trials))


def noted(finished: int, trials: int) -> Mapping[str, Any]:
    """The generation of a finished training, from which a resumed search continues."""
    return {NSGA3._get_generation_key(): finished // population(trials)}


nsga3 = Sampler(make, flat=True, told_refusals=False, noted=noted, carried=("_search_space",))
