"""NSGA-II: a population that is crossed and mutated, selected by non-domination rank and crowding.

It ignores what did not finish, so networks over budget are not told: it is asked again. Its population is sized by the run.

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
    """Optuna's, with the same parents whenever they are looked for."""

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The parents of a generation, by their numbers."""
        return chosen_by_generation(self._rng.rng, generation, lambda: super(NSGA2, self).select_parent(study, generation))


def make(seed: int, trials: int) -> BaseSampler:
    """Mutation and crossover as Optuna has them."""
    return NSGA2(seed=seed, population_size=population(trials))


def noted(finished: int, trials: int) -> Mapping[str, Any]:
    """The generation of a finished training, with which a resumed search goes on."""
    return {NSGA2._get_generation_key(): finished // population(trials)}


nsga2 = Sampler(make, flat=True, told_refusals=False, noted=noted, carried=("_search_space",))
