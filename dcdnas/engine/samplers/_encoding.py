"""Encodes networks of a space as rows of option indices, which can be drawn, mutated and crossed by the thousand.

A decision that is inactive in a network has 0 in its row. A decision that becomes active by a change is drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.geometry import Setting
from dcdnas.space.search_space import Decisions, SearchSpace

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Encoding:
    """Encodes and decodes rows of a space, (networks, decisions), with parent decisions before their children.

    Args:
        space: the space whose decisions are encoded.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space, self.decisions = space, space.decisions
        self.sizes = np.array([len(d.options) for d in self.decisions], dtype=np.int64)
        self._numbers = [{option: n for n, option in enumerate(d.options)} for d in self.decisions]
        columns = {d.name: i for i, d in enumerate(self.decisions)}
        self._parents = [columns.get(d.parent, -1) for d in self.decisions]
        self._when = [
            np.array([o in d.when for o in self.decisions[p].options]) if p >= 0 else np.ones(0, bool)
            for d, p in zip(self.decisions, self._parents, strict=True)
        ]
        operators = {group.operator for group in space.groups}
        self._genes = np.arange(len(self.decisions))
        for i, (decision, parent) in enumerate(zip(self.decisions, self._parents, strict=True)):
            if decision.parent in operators:  # crossover takes an operator and its settings from the same parent
                self._genes[i] = self._genes[parent]

    def encode(self, outcomes: Iterable[Decisions]) -> Rows:
        """Encodes each network's decisions as one row."""
        pairs = list(zip(self.decisions, self._numbers, strict=True))
        rows = [[numbers[o[d.name]] if d.name in o else 0 for d, numbers in pairs] for o in outcomes]
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.decisions))

    def decode(self, row: Rows) -> dict[str, Setting]:
        """Decodes a row to its active decisions."""
        options = {d.name: d.options[n] for d, n in zip(self.decisions, row.tolist(), strict=True)}
        return self.space.decide(lambda name, _: options[name])

    def active(self, rows: Rows) -> Mask:
        """Mask of the active decisions of each row."""
        found = np.ones(rows.shape, dtype=bool)
        for i, (parent, when) in enumerate(zip(self._parents, self._when, strict=True)):
            if parent >= 0:
                found[:, i] = found[:, parent] & when[rows[:, parent]]
        return found

    def drawn(self, count: int, rng: np.random.Generator) -> Rows:
        """Draws random rows; every active decision takes each of its options with equal probability."""
        shape = count, len(self.decisions)
        return self._completed(np.zeros(shape, np.int64), np.zeros(shape, bool), rng)

    def mutated(self, rows: Rows, rng: np.random.Generator, more: float = 0.7) -> Rows:
        """Mutates each row: changes one active decision to another option, and on average `more` further ones."""
        exists = self.active(rows)
        changes = 1 + rng.poisson(more, (len(rows), 1))
        order = np.where(exists, rng.random(rows.shape), 2.0).argsort(1).argsort(1)
        step = 1 + np.floor(rng.random(rows.shape) * (self.sizes - 1)).astype(np.int64)
        changed = np.where((order < changes) & exists, (rows + step) % self.sizes, rows)
        return self._completed(changed, exists, rng)

    def crossed(self, first: Rows, second: Rows, rng: np.random.Generator) -> Rows:
        """Uniform crossover of pairs of rows: takes each decision from either row, an operator together with its settings."""
        take = (rng.random(first.shape) < 0.5)[:, self._genes]
        return self._completed(np.where(take, first, second), np.where(take, self.active(first), self.active(second)), rng)

    def _completed(self, rows: Rows, had: Mask, rng: np.random.Generator) -> Rows:
        """Completes rows: draws active decisions that are not in the mask `had` at random, and sets inactive ones to 0."""
        drawn = np.floor(rng.random(rows.shape) * self.sizes).astype(np.int64)
        rows, exists = rows.copy(), np.ones(rows.shape, dtype=bool)
        for i, (parent, when) in enumerate(zip(self._parents, self._when, strict=True)):
            if parent >= 0:
                exists[:, i] = exists[:, parent] & when[rows[:, parent]]
            rows[:, i] = np.where(exists[:, i], np.where(had[:, i], rows[:, i], drawn[:, i]), 0)
        return rows
