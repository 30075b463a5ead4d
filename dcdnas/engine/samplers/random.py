"""Random sampling within the budget: the baseline that every other sampler has to beat."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler

from dcdnas.engine.samplers._base import Sampler

__all__ = ["random"]


def make(seed: int, trials: int) -> BaseSampler:
    """Each option of each decision that exists has the same chance."""
    return RandomSampler(seed=seed)


random = Sampler(make)
