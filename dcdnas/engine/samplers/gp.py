"""Bayesian optimisation with Optuna's Gaussian processes: expected hypervolume improvement, with costs that it has to learn.

A proposal takes about a second. The sampler ignores unfinished trials, so it is not told networks over budget but asked again.

Reference: Optuna's `GPSampler`; Daulton et al., "Parallel Bayesian Optimization of Multiple Noisy Objectives with Expected
Hypervolume Improvement", NeurIPS 2021, arXiv:2105.08195.
"""

from __future__ import annotations

from optuna.samplers import BaseSampler, GPSampler

from dcdnas.engine.samplers._base import Sampler
from dcdnas.engine.samplers._optuna import not_warned

__all__ = ["gp"]


def make(seed: int, trials: int) -> BaseSampler:
    """Makes Optuna's sampler without a random start of its own, for noisy objectives."""
    with not_warned():
        return GPSampler(seed=seed, n_startup_trials=1, deterministic_objective=False, warn_independent_sampling=False)


gp = Sampler(make, flat=True, told_refusals=False, carried=("_intersection_search_space",), extra="gp")
