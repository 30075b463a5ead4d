"""Candidates of a sampler: priced exactly before they are looked at, within the budgets, and not seen before."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.geometry import Cost
from dcdnas.core.pareto import logarithm
from dcdnas.core.trial import Trial
from dcdnas.core.units import notation
from dcdnas.cost import with_always
from dcdnas.engine.job import derived_seed
from dcdnas.engine.samplers._base import Known, Search
from dcdnas.engine.samplers._encoding import Encoding, Rows
from dcdnas.errors import UsageError
from dcdnas.networks import identity
from dcdnas.space.pricing.cost import draws_within, largest, priced, smallest
from dcdnas.space.pricing.table import SpaceTable
from dcdnas.space.search_space import Decisions

Floats = NDArray[np.float64]

ONE_BY_ONE = 0.15
"""Share of the candidates that is looked at in a space whose networks have to be priced one by one."""

REFERENCE = 200
"""Networks drawn from within the budgets by which costs are scaled."""

DRAWS = 500
"""Draws from within the budgets that may all be seen before a sampler has nothing to propose."""


class Pool:
    """The rows of a search that may be proposed.

    Args:
        search: whose budgets and metrics count.
    """

    def __init__(self, search: Search) -> None:
        self.search, self.space = search, search.space
        self.encoding = Encoding(search.space)
        self._rows: dict[int, Rows] = {}
        self.metrics = with_always([*(b.metric for b in search.budgets), *search.goals.costs])

    def count(self, wanted: int) -> int:
        """How many candidates to make where `wanted` are good to have: fewer where prices are dear."""
        return wanted if self._table is not None else max(8, round(ONE_BY_ONE * wanted))

    def costs(self, rows: Rows) -> Floats:
        """(rows, metrics)."""
        if self._table is not None:
            return self._table.costs(rows).astype(np.float64)
        return self._numbers(priced(self.space, self.encoding.decode(row), self.metrics).cost for row in rows)

    def rows_of(self, trials: Sequence[Trial]) -> Rows:
        """The rows of trials."""
        for trial in trials:
            if trial.number not in self._rows:
                self._rows[trial.number] = self.encoding.encode([trial.decisions])[0]
        return np.array([self._rows[t.number] for t in trials], dtype=np.int64).reshape(len(trials), len(self.encoding.decisions))

    def costs_of(self, trials: Sequence[Trial]) -> Floats:
        """The costs of trials, (trials, metrics)."""
        return self._numbers(t.cost for t in trials)

    def seen(self, known: Known) -> set[bytes]:
        """The rows that need not be looked at again."""
        rows = (*self.rows_of(known.trials), *self.encoding.encode(known.running))
        return {row.tobytes() for row in rows}

    def fresh(self, rows: Rows, seen: Collection[bytes]) -> tuple[Rows, Floats]:
        """Of some rows the different ones that are within the budgets and not among `seen`, with their costs."""
        _, first = np.unique(rows, axis=0, return_index=True)
        rows = rows[np.sort(first)]
        rows = rows[np.array([row.tobytes() not in seen for row in rows], dtype=bool)]
        costs = self.costs(rows)
        inside = np.ones(len(rows), dtype=bool)
        for budget in self.search.budgets:
            values = costs[:, self.metrics.index(budget.metric)]
            inside &= (values >= budget.at_least) & (values <= budget.at_most)
        return rows[inside], costs[inside]

    def logs(self, costs: Floats) -> Floats:
        """The logarithms of costs."""
        least = np.array([notation(m).least for m in self.metrics])
        return np.log(np.where(costs > 0, costs, least))

    def scaled(self, costs: Floats) -> Floats:
        """(rows, objectives): the costs that are minimised, as logarithms from 0 for the cheapest to 1 for the budget."""
        found = np.zeros((len(costs), len(self.search.goals.costs)))
        logs = self.logs(costs)
        for column, metric in enumerate(self.search.goals.costs):
            low, high = self.bounds[metric]
            found[:, column] = np.clip((logs[:, self.metrics.index(metric)] - low) / (high - low), 0.0, 1.0)
        return found

    @cached_property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Logarithms of the least and the most that a network within the budgets may cost, of each metric that is minimised."""
        most = {b.metric: b.at_most for b in self.search.budgets}
        found = {}
        for metric in self.search.goals.costs:
            least = notation(metric).least
            low = logarithm(smallest(self.space, metric).cost[metric], least)
            high = logarithm(min(largest(self.space, metric).cost[metric], most.get(metric, np.inf)), least)
            found[metric] = (low, max(high, low + 1e-6))
        return found

    @cached_property
    def reference(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the logarithms of the costs of random networks within the budgets."""
        drawn = draws_within(self.space, self.search.budgets, random.Random(0), also=self.search.goals.costs)
        logs = self.logs(self._numbers(found.cost for found in islice(drawn, REFERENCE)))
        if len(logs) < 2:
            return np.zeros(len(self.metrics)), np.ones(len(self.metrics))
        return logs.mean(0), np.maximum(logs.std(0), 1e-3)

    def first_new(self, rows: Rows, known: Known) -> Decisions | None:
        """The first of some rows that no rule forbids and whose network was not seen under another name."""
        for row in rows:
            decisions = self.encoding.decode(row)
            if not self.space.forbids(decisions) and identity(self.space.architecture(decisions)) not in known.seen:
                return decisions
        return None

    def drawn(self, known: Known) -> Decisions | None:
        """A random network within the budgets that was not seen."""
        rng = random.Random(derived_seed(self.search.seed, f"draw {known.asked}"))
        return next((d for d, name in self._draws(rng) if name not in known.seen), None)

    def _draws(self, rng: random.Random) -> Iterator[tuple[Decisions, str]]:
        for found in islice(draws_within(self.space, self.search.budgets, rng), DRAWS):
            yield found.decisions, identity(found.architecture)

    def _numbers(self, costs: Iterable[Cost]) -> Floats:
        """Costs as (networks, metrics)."""
        found = [[cost[m] for m in self.metrics] for cost in costs]
        return np.array(found, dtype=np.float64).reshape(len(found), len(self.metrics))

    @cached_property
    def _table(self) -> SpaceTable | None:
        try:
            return SpaceTable(self.space, self.metrics)
        except UsageError:
            return None
