"""Results as a model likes them: more is better, and halving the error is worth the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial
from dcdnas.engine.samplers._pool import Floats

LEAST = 0.005
"""Share of an objective's scale that is added to every error, so that a perfect result is finite."""


def worths(objective: Objective, trials: Sequence[Trial]) -> Floats:
    """What finished trials are worth in one objective."""
    return worth(objective, np.array([t.score.values[objective.name] if t.score else objective.worst for t in trials]))


def worth(objective: Objective, values: Floats) -> Floats:
    """Minus the logarithm of the distance to the best value that there can be."""
    found: Floats = -np.log(np.abs(objective.best - values) + LEAST * objective.range)
    return found


def worst_worth(objective: Objective) -> float:
    """That of a network that has learned nothing."""
    return float(worth(objective, np.array([objective.worst]))[0])
