"""NSGA-II: a genetic algorithm that selects by non-domination rank and crowding distance.

It ignores unfinished trials, so it is not told networks over budget but asked again. The population size depends on the number
of trainings of the run.

Reference: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEC 6(2), 2002; as implemented
by Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from dcdnas.engine.samplers._base import Sampler
from dcdnas.engine.samplers._optuna import chosen_by_generation, population

__all__ = ["nsga2"]


class NSGA2(NSGAIISampler):
    """Optuna's sampler, except that the parents of a generation do not depend on the proposal that selects them."""

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """Selects the parents of a generation, ordered by trial number."""
        return chosen_by_generation(self._rng.rng, generation, lambda: super(NSGA2, self).select_parent(study, generation))


def make(seed: int, trials: int) -> BaseSampler:
    """Makes Optuna's sampler with its default mutation and crossover."""
    return NSGA2(seed=seed, population_size=population(trials))


def noted(finished: int, trials: int) -> Mapping[str, Any]:
    """The generation of a finished training, from which a resumed search continues."""
    return {NSGA2._get_generation_key(): finished // population(trials)}


nsga2 = Sampler(make, flat=True, told_refusals=False, noted=noted, carried=("_search_space",))
