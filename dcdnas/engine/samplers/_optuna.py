"""What the files of Optuna's samplers share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import ExperimentalWarning


def population(trials: int) -> int:
    """At least five generations: with Optuna's default of 50 a run of 50 trainings would be all its first, random one."""
    return max(4, min(50, trials // 5))


@contextmanager
def not_warned() -> Iterator[None]:
    """Leaves out that Optuna may change what it made; which version is used is pinned, and written into the run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
