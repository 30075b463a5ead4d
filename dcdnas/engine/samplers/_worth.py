"""Results as a model likes them: more is better, and halving the error is worth the same everywhere.

The error is the distance to the best value on the objective's scale, from 0 to 1: a value beyond either end counts as that end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial
from dcdnas.engine.samplers._pool import Floats

LEAST = 0.005
"""Added to every error, so that the worth of a perfect result is finite."""


def worths(objective: Objective, trials: Sequence[Trial]) -> Floats:
    """What finished trials are worth in one objective."""
    return worth(np.array([objective.scaled(objective.of(t.score)) for t in trials]))


def worth(scaled: Floats) -> Floats:
    """Minus the logarithm of the error, of values on the objective's scale (`Objective.scaled`)."""
    found: Floats = -np.log(1 - scaled + LEAST)
    return found


WORST = float(worth(np.zeros(1))[0])
"""Worth of a network that has learned nothing."""
