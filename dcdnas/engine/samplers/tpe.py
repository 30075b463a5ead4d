"""Tree-structured Parzen estimator: models good and bad networks decision by decision, conditions included.

Networks over budget and trainings that were stopped early reach it as infeasible, by how much, and steer it.

Reference: Ozaki et al., "Multiobjective Tree-Structured Parzen Estimator", JAIR 73, 2022; as implemented by Optuna.
"""

from __future__ import annotations

from optuna.samplers import BaseSampler, TPESampler

from dcdnas.engine.samplers._base import Sampler

__all__ = ["tpe"]


def make(seed: int, trials: int) -> BaseSampler:
    """No random start of its own: the search begins with draws from within the budget."""
    return TPESampler(seed=seed, n_startup_trials=1)


tpe = Sampler(make)
