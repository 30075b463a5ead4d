"""What a sampler is to the search: an Optuna sampler and how it wants to be fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Sampler:
    """How to make an Optuna sampler for a run.

    Args:
        make: (seed, trainings of the run) -> the sampler; it reads the constraints that the study stores.
        flat: whether every decision is always suggested and the inactive ones ignored, for samplers that do not know
            conditional parameters.
        told_refusals: whether networks over budget are told; a sampler that cannot use them is asked again instead.
    """

    make: Callable[[int, int], BaseSampler]
    flat: bool = False
    told_refusals: bool = True
