"""NSGA-III: a population that is crossed and mutated, and kept spread by directions; for three objectives and more.

It is fed as NSGA-II: what did not finish is not told, and the population is sized by the run.

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
    """Optuna's, with the same parents whenever they are looked for."""

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The parents of a generation, by their numbers."""
        return chosen_by_generation(self._rng.rng, generation, lambda: super(NSGA3, self).select_parent(study, generation))


def make(seed: int, trials: int) -> BaseSampler:
    """Mutation and crossover as Optuna has them."""
    with not_warned():
        return NSGA3(seed=seed, population_size=population(trials))


def noted(finished: int, trials: int) -> Mapping[str, Any]:
    """The generation of a finished training, with which a resumed search goes on."""
    return {NSGA3._get_generation_key(): finished // population(trials)}


nsga3 = Sampler(make, flat=True, told_refusals=False, noted=noted, carried=("_search_space",))
