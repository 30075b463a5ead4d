"""Smooths the results of networks with a Gaussian process over all trainings.

The best of many single trainings is often lucky. A Gaussian process over the networks' features, which need no training, removes
the part of a result that similar networks do not share, as far as the trainings show it to be noise. Where the process explains
nothing, the order of the readings stays (docs/decisions/what-is-confirmed.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcdnas.core.trial import Trial
from dcdnas.engine.samplers._base import Search
from dcdnas.engine.samplers._features import Describing
from dcdnas.engine.samplers._gp import FEWEST, FITTED, Process, fitted
from dcdnas.engine.samplers._one_thread import one_thread
from dcdnas.engine.samplers._pool import Floats, Pool
from dcdnas.engine.samplers._worth import worths


def smoothed(search: Search, trials: Sequence[Trial]) -> Floats:
    """Predicts the worth of finished trials in the primary objective, (trials,); more is better.

    Args:
        search: the search of the trials.
        trials: finished trials; more than a thousand take long.
    """
    values = worths(search.goals, search.goals.primary, trials)
    if len(trials) < FEWEST:
        return values
    pool = Pool(search)
    features = Describing(pool)(pool.rows_of(trials), pool.costs_of(trials))
    some = np.unique(np.linspace(0, len(trials) - 1, min(len(trials), FITTED)).astype(int))
    with one_thread():
        believed, _ = Process.of(features, values, fitted(features.take(some), values[some])).predict(features)
    return believed
