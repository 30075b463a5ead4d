"""Regularised evolution: mutates one decision of a tournament winner among the most recently trained networks.

The winner is drawn at random among the networks of the tournament that no other one dominates in objectives and costs. Networks
leave the population by age.

Reference: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, arXiv:1802.01548.
"""

from __future__ import annotations

import numpy as np

from dcdnas.core.pareto import ranks
from dcdnas.engine.job import derived_seed
from dcdnas.engine.samplers._base import Direct, Known, Sampler, Search
from dcdnas.engine.samplers._pool import Pool
from dcdnas.space.search_space import Decisions

__all__ = ["evolution"]

POPULATION, SAMPLE = 20, 6
"""Size of the population, and of a tournament."""

MUTANTS = 32
"""Number of mutants of one parent among which a new one within the budgets is sought."""


class Evolution(Direct):
    """Mutates one decision of a good network, without a model."""

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        self._pool = Pool(search)

    def propose(self, known: Known) -> Decisions | None:
        """Returns a mutant of a tournament winner, or a random network while no training has finished."""
        alive = known.finished[-POPULATION:]
        if not alive:
            return self._pool.drawn(known)
        rng = np.random.default_rng(derived_seed(self.search.seed, f"evolution {known.asked}"))
        rows, encoding = self._pool.rows_of(alive), self._pool.encoding
        points = [self.search.goals.compared(trial) for trial in alive]
        seen = self._pool.seen(known)
        for more in (0.0, 0.0, 1.0, 2.0):
            drawn = rng.choice(len(alive), min(SAMPLE, len(alive)), replace=False)
            leading = drawn[np.equal(ranks([points[i] for i in drawn]), 0)]
            parent = rows[rng.choice(leading)]
            mutants = encoding.mutated(np.repeat(parent[None], self._pool.count(MUTANTS), 0), rng, more)
            fresh, _ = self._pool.fresh(mutants, seen)
            found = self._pool.first_new(rng.permutation(fresh), known)
            if found is not None:
                return found
        return self._pool.drawn(known)


evolution = Sampler(direct=Evolution)
