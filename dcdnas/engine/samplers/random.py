"""Random search within the budget: the baseline that every other sampler has to beat."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler

from dcdnas.engine.samplers._base import Sampler

__all__ = ["random"]


def make(seed: int, trials: int) -> BaseSampler:
    """Makes Optuna's random sampler, which gives each option of every active decision the same probability."""
    return RandomSampler(seed=seed)


random = Sampler(make)
