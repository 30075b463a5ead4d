"""What a model sees of a network, at no cost: prices, numbers in their order, and what was chosen by role and stage."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dcdnas.engine.samplers._encoding import Rows
from dcdnas.engine.samplers._pool import Floats, Pool
from dcdnas.space.parts import Decision


class Features(NamedTuple):
    """Three blocks of columns, a row a network.

    Args:
        cost: logarithms of the prices, scaled by those of random networks within the budgets.
        number: decisions that are numbers and exist in every network, as logarithms.
        chosen: an indicator for each option of every other decision; 0 where the decision does not exist.
    """

    cost: Floats
    number: Floats
    chosen: Floats

    def __len__(self) -> int:
        return len(self.cost)

    def take(self, rows: Rows) -> Features:
        """Some of the rows."""
        return Features(*(block[rows] for block in self))

    def joined(self, other: Features) -> Features:
        """These rows and others below them."""
        return Features(*(np.concatenate(blocks) for blocks in zip(self, other, strict=True)))


class Describing:
    """Makes features of rows.

    Args:
        pool: of the search.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        decisions = pool.encoding.decisions
        self._scales = {i: _scale(d) for i, d in enumerate(decisions) if _ordered(d)}
        self._words = [i for i in range(len(decisions)) if i not in self._scales]

    def __call__(self, rows: Rows, costs: Floats) -> Features:
        """Of some rows with their costs."""
        mean, deviation = self.pool.reference
        cost = (self.pool.logs(costs) - mean) / deviation
        numbers = [scale[rows[:, i]] for i, scale in self._scales.items()]
        exists = self.pool.encoding.active(rows)
        sizes = self.pool.encoding.sizes
        chosen = [(exists[:, i] & (rows[:, i] == n)).astype(np.float64) for i in self._words for n in range(sizes[i])]
        return Features(cost, _block(numbers, len(self._scales), len(rows)), _block(chosen, len(self._words), len(rows)))


def _ordered(decision: Decision) -> bool:
    """Whether the options are numbers of a decision that always exists."""
    return not decision.parent and all(isinstance(o, (int, float)) and not isinstance(o, bool) for o in decision.options)


def _scale(decision: Decision) -> Floats:
    """A number for each option, standardised; a logarithm where all are above zero."""
    values = np.array(decision.options, dtype=np.float64)
    values = np.log(values) if (values > 0).all() else values
    scaled: Floats = (values - values.mean()) / (values.std() or 1.0)
    return scaled


def _block(columns: list[Floats], decisions: int, rows: int) -> Floats:
    """Columns side by side, so scaled that all decisions together have the weight of one."""
    return np.stack(columns, 1) / np.sqrt(max(1, decisions)) if columns else np.zeros((rows, 0))
