"""NSGA-II: a population that is crossed and mutated, selected by non-domination rank and crowding.

It ignores what did not finish, so networks over budget are not told: it is asked again. Its population is sized by the run,
since with Optuna's default of 50 a run of 50 trainings would be all its first, random generation.

Reference: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEC 6(2), 2002; as implemented
by Optuna.
"""

from __future__ import annotations

from optuna.samplers import BaseSampler, NSGAIISampler

from dcdnas.engine.samplers._base import Sampler

__all__ = ["nsga2"]


def make(seed: int, trials: int) -> BaseSampler:
    """At least five generations."""
    return NSGAIISampler(seed=seed, population_size=max(4, min(50, trials // 5)))


nsga2 = Sampler(make, flat=True, told_refusals=False)
