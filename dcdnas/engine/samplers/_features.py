"""The features of a network that the model uses, which need no training: prices, numeric decisions, and chosen options."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dcdnas.engine.samplers._encoding import Rows
from dcdnas.engine.samplers._pool import Floats, Pool
from dcdnas.space.parts import Decision


class Features(NamedTuple):
    """Three blocks of feature columns, with one row per network.

    Args:
        cost: logarithms of the prices, standardised by those of random networks within the budgets.
        number: decisions that are numeric and active in every network, standardised; as logarithms if all options are positive.
        chosen: an indicator for each option of every other decision; 0 where the decision is inactive.
    """

    cost: Floats
    number: Floats
    chosen: Floats

    def __len__(self) -> int:
        return len(self.cost)

    def take(self, rows: Rows) -> Features:
        """Selects some of the rows."""
        return Features(*(block[rows] for block in self))

    def joined(self, other: Features) -> Features:
        """Appends the rows of other features."""
        return Features(*(np.concatenate(blocks) for blocks in zip(self, other, strict=True)))


class Describing:
    """Computes the features of rows.

    Args:
        pool: pool of the search.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        decisions = pool.encoding.decisions
        self._scales = {i: _scale(d) for i, d in enumerate(decisions) if _ordered(d)}
        self._words = [i for i in range(len(decisions)) if i not in self._scales]

    def __call__(self, rows: Rows, costs: Floats) -> Features:
        """Computes the features of rows, given their costs."""
        mean, deviation = self.pool.reference
        cost = (self.pool.logs(costs) - mean) / deviation
        numbers = [scale[rows[:, i]] for i, scale in self._scales.items()]
        exists = self.pool.encoding.active(rows)
        sizes = self.pool.encoding.sizes
        chosen = [(exists[:, i] & (rows[:, i] == n)).astype(np.float64) for i in self._words for n in range(sizes[i])]
        return Features(cost, _block(numbers, len(self._scales), len(rows)), _block(chosen, len(self._words), len(rows)))


def _ordered(decision: Decision) -> bool:
    """Whether the decision is always active and all its options are numbers."""
    return not decision.parent and all(isinstance(o, (int, float)) and not isinstance(o, bool) for o in decision.options)


def _scale(decision: Decision) -> Floats:
    """A standardised number for each option: of the logarithms where all options are positive."""
    values = np.array(decision.options, dtype=np.float64)
    values = np.log(values) if (values > 0).all() else values
    scaled: Floats = (values - values.mean()) / (values.std() or 1.0)
    return scaled


def _block(columns: list[Floats], decisions: int, rows: int) -> Floats:
    """Stacks columns and scales them so that all decisions of the block together weigh as much as a single one."""
    return np.stack(columns, 1) / np.sqrt(max(1, decisions)) if columns else np.zeros((rows, 0))
