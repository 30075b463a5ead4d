"""What a sampler is to the search: an Optuna sampler and how it wants to be fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Sampler:
    """How to make an Optuna sampler for a run.

    Args:
        make: (seed, trainings of the run) -> the sampler; it reads the constraints that the study stores.
        flat: whether every decision is always suggested and the inactive ones ignored, for samplers that do not know
            conditional parameters.
        told_refusals: whether networks over budget are told; a sampler that cannot use them is asked again instead.
        noted: (finished trainings before, trainings of the run) -> what the sampler itself had noted on a finished training,
            so that a resumed search goes on with it.
    """

    make: Callable[[int, int], BaseSampler]
    flat: bool = False
    told_refusals: bool = True
    noted: Callable[[int, int], Mapping[str, Any]] = lambda finished, trials: {}
