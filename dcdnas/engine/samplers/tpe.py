"""Tree-structured Parzen estimator (TPE): models good and bad networks decision by decision, also conditional decisions.

It is told networks over budget and trials stopped early as infeasible, together with the size of the violation, and learns from
them.

Reference: Ozaki et al., "Multiobjective Tree-Structured Parzen Estimator", JAIR 73, 2022; as implemented by Optuna.
"""

from __future__ import annotations

from optuna.samplers import BaseSampler, TPESampler

from dcdnas.engine.samplers._base import Sampler

__all__ = ["tpe"]


def make(seed: int, trials: int) -> BaseSampler:
    """Makes Optuna's sampler without a random start of its own, because the search begins with draws within the budget."""
    return TPESampler(seed=seed, n_startup_trials=1)


tpe = Sampler(make)
