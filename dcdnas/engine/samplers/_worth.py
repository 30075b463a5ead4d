"""Transforms results to the worth that the model predicts: more is better, and halving the error always adds the same worth.

The error is the distance to the best value on the objective's scale, from 0 to 1; a value beyond either end counts as that end.
For an objective that is ranked by the loss, the model learns the logarithm of the loss, which is less noisy. It is scaled to
the mean and standard deviation of the objective's own worths, so that it can be combined with those of other objectives. Where
all of these are equal, it keeps its own deviation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcdnas.core.objective import Goals, Objective
from dcdnas.core.trial import Trial
from dcdnas.engine.samplers._gp import EQUAL
from dcdnas.engine.samplers._pool import Floats

LEAST = 0.005
"""Added to every error and loss, so that the worth of a perfect result is finite."""


def worths(goals: Goals, objective: Objective, trials: Sequence[Trial]) -> Floats:
    """Computes the worth of finished trials in one objective."""
    own = worth(np.array([objective.scaled(objective.of(t.score)) for t in trials]))
    by = [goals.ranked_by(objective, t.score) for t in trials]
    if not by or any(value is None or value < 0 for value in by):
        return own
    ranked = -np.log(np.array(by, dtype=np.float64) + LEAST)
    deviation = own.std() if own.std() > EQUAL else ranked.std()
    scaled: Floats = own.mean() + deviation * (ranked - ranked.mean()) / (ranked.std() or 1.0)
    return scaled


def worth(scaled: Floats) -> Floats:
    """Negative logarithm of the error, for values on the objective's scale (`Objective.scaled`)."""
    found: Floats = -np.log(1 - scaled + LEAST)
    return found


WORST = float(worth(np.zeros(1))[0])
"""Worth of a network that has learned nothing."""
