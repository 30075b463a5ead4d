"""Bayesian optimisation with exact costs: maximises the expected hypervolume improvement under a Gaussian process.

The Gaussian process learns the logarithm of the error from features that need no training. For each proposal, hundreds of
networks within the budgets, most of them neighbours of the predicted front, are priced and compared by their expected
hypervolume improvement; for every third proposal, by the expected improvement over the best network. Networks in training count
with their predicted results.

A proposal depends only on the seed and the known trials; state that is kept between two proposals only saves time. A resumed
search therefore continues as if it had not been interrupted.

Reference: Emmerich et al., "Hypervolume-based expected improvement: monotonicity properties and exact computation", CEC 2011
(with known costs one dimension remains); White et al., "BANANAS", AAAI 2021, arXiv:1910.11858 (candidates by mutation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dcdnas.core.objective import Objective
from dcdnas.core.pareto import nondominated
from dcdnas.engine.job import derived_seed
from dcdnas.engine.samplers._base import Direct, Known, Sampler, Search
from dcdnas.engine.samplers._beliefs import Beliefs
from dcdnas.engine.samplers._encoding import Rows
from dcdnas.engine.samplers._features import Describing
from dcdnas.engine.samplers._gp import FEWEST, FITTED, Process, fitted
from dcdnas.engine.samplers._one_thread import one_thread
from dcdnas.engine.samplers._pool import Floats, Pool
from dcdnas.engine.samplers._worth import WORST, worths
from dcdnas.space.search_space import Decisions

__all__ = ["model"]

MOST = 300
"""Upper bound on the number of results that the model uses: those of the front and the newest."""

BEST_EVERY = 3
"""Every third proposal aims at the best network instead of the front."""

NEIGHBOURS, STRANGERS = 240, 120
"""Numbers of candidates: mutated or crossed networks of the front, and random networks."""

CLIMBS, TOP, EACH = 2, 12, 10
"""Rounds in which the best candidates are mutated again, number of these candidates, and number of mutants of each."""

LEADERS = 5
"""Number of networks with the best predictions that are parents of candidates, whether or not they are on the front."""


class Model(Direct):
    """Chooses by expected improvement under a Gaussian process, among networks within the budgets."""

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        self._pool = Pool(search)
        self._describing = Describing(self._pool)
        self._fits: dict[str, tuple[tuple[int, ...], Floats]] = {}

    def propose(self, known: Known) -> Decisions | None:
        """Returns the candidate with the highest expected improvement, or a random network while too few results are known."""
        with one_thread():
            return self._proposed(known)

    def _proposed(self, known: Known) -> Decisions | None:
        if len(known.finished) < FEWEST:
            return self._pool.drawn(known)
        rng = np.random.default_rng(derived_seed(self.search.seed, f"model {known.asked}"))
        beliefs, rows = self._beliefs(known, rng)
        for_best = not self.search.goals.costs or known.asked % BEST_EVERY == BEST_EVERY - 1

        def value(rows: Rows, costs: Floats) -> Floats:
            features = self._describing(rows, costs)
            return beliefs.for_the_best(features) if for_best else beliefs.for_the_front(features, self._pool.scaled(costs))

        best_first = self._candidates(rows[self._parents(beliefs)], value, self._pool.seen(known), rng)
        return self._pool.first_new(best_first, known) or self._pool.drawn(known)

    def _beliefs(self, known: Known, rng: np.random.Generator) -> tuple[Beliefs, Rows]:
        """Fits the model; returns its predictions and the rows of the networks that it knows."""
        trials = known.finished
        costs = self._pool.costs_of(trials)
        values = {aim.name: worths(self.search.goals, aim, trials) for aim in self.search.goals.objectives}
        kept = _kept([self.search.goals.compared(trial) for trial in trials])
        running = self._pool.encoding.encode(known.running)
        rows = np.concatenate([self._pool.rows_of(trials)[kept], running])
        costs = np.concatenate([costs[kept], self._pool.costs(running)])
        features = self._describing(rows, costs)
        ended = features.take(np.arange(len(kept)))
        weights = rng.dirichlet(np.ones(len(values))) if len(values) > 1 else np.ones(1)
        processes, floor = [], 0.0
        for weight, aim in zip(weights.tolist(), self.search.goals.objectives, strict=True):
            y = values[aim.name]
            process = Process.of(ended, y[kept], self._theta(aim, known))
            if known.running:
                believed, _ = process.predict(features.take(np.arange(len(kept), len(rows))))
                process = Process.of(features, np.concatenate([y[kept], believed]), process.theta)
            share = weight / process.deviation if len(values) > 1 else 1.0
            processes.append((share, process))
            floor += share * WORST
        return Beliefs(tuple(processes), features, self._pool.scaled(costs), floor), rows

    def _theta(self, aim: Objective, known: Known) -> Floats:
        """Kernel parameters for an objective; they are fitted only to the first results, so that many proposals share them."""
        count = milestone(len(known.finished))
        chosen = np.unique(np.linspace(0, count - 1, min(count, FITTED)).astype(int))
        trials = [known.finished[i] for i in chosen]
        key = tuple(t.number for t in trials)
        if self._fits.get(aim.name, ((),))[0] != key:
            features = self._describing(self._pool.rows_of(trials), self._pool.costs_of(trials))
            self._fits[aim.name] = key, fitted(features, worths(self.search.goals, aim, trials))
        return self._fits[aim.name][1]

    def _parents(self, beliefs: Beliefs) -> list[int]:
        """Indices of the predicted front and of the networks with the best predictions."""
        return sorted({*beliefs.front, *np.argsort(-beliefs.worth, kind="stable")[:LEADERS].tolist()})

    def _candidates(
        self, parents: Rows, value: Callable[[Rows, Floats], Floats], seen: set[bytes], rng: np.random.Generator
    ) -> Rows:
        """Makes new rows within the budgets, ordered from the highest value to the lowest."""
        pool, encoding = self._pool, self._pool.encoding
        count = pool.count(NEIGHBOURS)
        first, second = (parents[rng.integers(len(parents), size=count)] for _ in range(2))
        half = count // 2
        crossed = encoding.crossed(first[half:], second[half:], rng)
        made = [encoding.mutated(first[:half], rng), encoding.mutated(crossed, rng), encoding.drawn(pool.count(STRANGERS), rng)]
        rows, costs = pool.fresh(np.concatenate(made), seen)
        values = value(rows, costs)
        for _ in range(CLIMBS if len(rows) else 0):
            best = np.argsort(-values, kind="stable")[:TOP]
            mutants = encoding.mutated(np.repeat(rows[best], pool.count(EACH), axis=0), rng, more=0.2)
            mutants, costs = pool.fresh(mutants, seen)
            rows, values = np.concatenate([rows, mutants]), np.concatenate([values, value(mutants, costs)])
        best_first: Rows = rows[np.argsort(-values, kind="stable")]
        return best_first


def milestone(results: int) -> int:
    """Number of results to which parameters are fitted: the largest of a series that grows by a tenth, at most `results`."""
    reached = FEWEST
    while (further := reached + max(1, reached // 10)) <= results:
        reached = further
    return reached


def _kept(points: Sequence[Sequence[float]]) -> Sequence[int]:
    """Indices of the results that the model uses: all, or those of the front and the newest."""
    newest = range(len(points))[-MOST:]
    if len(newest) == len(points):
        return list(newest)
    return sorted({*nondominated(points)[-MOST // 2 :], *newest[MOST // 2 :]})


model = Sampler(direct=Model)
