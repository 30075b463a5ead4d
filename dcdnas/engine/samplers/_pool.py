"""The candidates of a sampler: exactly priced, within the budgets, and not seen before."""

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
"""Share of the candidates that is evaluated in a space whose networks have to be priced one by one."""

REFERENCE = 200
"""Number of random networks within the budgets whose costs define the scale of the cost features."""

DRAWS = 500
"""Number of random draws within the budgets after which, if all were seen before, a sampler has nothing to propose."""


class Pool:
    """Makes and filters the rows that a sampler may propose.

    Args:
        search: the search, with its budgets and metrics.
    """

    def __init__(self, search: Search) -> None:
        self.search, self.space = search, search.space
        self.encoding = Encoding(search.space)
        self._rows: dict[int, Rows] = {}
        self.metrics = with_always([*(b.metric for b in search.budgets), *search.goals.costs])

    def count(self, wanted: int) -> int:
        """Number of candidates to make where `wanted` are desirable: fewer where pricing is slow."""
        return wanted if self._table is not None else max(8, round(ONE_BY_ONE * wanted))

    def costs(self, rows: Rows) -> Floats:
        """Prices rows; returns (rows, metrics)."""
        if self._table is not None:
            return self._table.costs(rows).astype(np.float64)
        return self._numbers(priced(self.space, self.encoding.decode(row), self.metrics).cost for row in rows)

    def rows_of(self, trials: Sequence[Trial]) -> Rows:
        """Encodes trials as rows."""
        for trial in trials:
            if trial.number not in self._rows:
                self._rows[trial.number] = self.encoding.encode([trial.decisions])[0]
        return np.array([self._rows[t.number] for t in trials], dtype=np.int64).reshape(len(trials), len(self.encoding.decisions))

    def costs_of(self, trials: Sequence[Trial]) -> Floats:
        """The costs of trials, (trials, metrics)."""
        return self._numbers(t.cost for t in trials)

    def seen(self, known: Known) -> set[bytes]:
        """The rows, as bytes, of all known and running networks."""
        rows = (*self.rows_of(known.trials), *self.encoding.encode(known.running))
        return {row.tobytes() for row in rows}

    def fresh(self, rows: Rows, seen: Collection[bytes]) -> tuple[Rows, Floats]:
        """Filters rows to the distinct ones that are within the budgets and not in `seen`; returns them with their costs."""
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
        """The logarithms of costs; a cost of 0 counts as the metric's least value, see `Notation.least`."""
        least = np.array([notation(m).least for m in self.metrics])
        return np.log(np.where(costs > 0, costs, least))

    def scaled(self, costs: Floats) -> Floats:
        """Scales the minimised costs logarithmically from 0 (the cheapest network) to 1 (the budget); (rows, costs)."""
        found = np.zeros((len(costs), len(self.search.goals.costs)))
        logs = self.logs(costs)
        for column, metric in enumerate(self.search.goals.costs):
            low, high = self.bounds[metric]
            found[:, column] = np.clip((logs[:, self.metrics.index(metric)] - low) / (high - low), 0.0, 1.0)
        return found

    @cached_property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Logarithms of the lowest and highest cost of a network within the budgets, by minimised metric."""
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
        """Mean and standard deviation of the logarithmic costs of random networks within the budgets."""
        drawn = draws_within(self.space, self.search.budgets, random.Random(0), also=self.search.goals.costs)
        logs = self.logs(self._numbers(found.cost for found in islice(drawn, REFERENCE)))
        if len(logs) < 2:
            return np.zeros(len(self.metrics)), np.ones(len(self.metrics))
        return logs.mean(0), np.maximum(logs.std(0), 1e-3)

    def first_new(self, rows: Rows, known: Known) -> Decisions | None:
        """Decodes the first row that no rule forbids and whose network was not seen with other decisions."""
        for row in rows:
            decisions = self.encoding.decode(row)
            if not self.space.forbids(decisions) and identity(self.space.architecture(decisions)) not in known.seen:
                return decisions
        return None

    def drawn(self, known: Known) -> Decisions | None:
        """Draws a random new network within the budgets; None when all `DRAWS` draws were seen before."""
        rng = random.Random(derived_seed(self.search.seed, f"draw {known.asked}"))
        return next((d for d, name in self._draws(rng) if name not in known.seen), None)

    def _draws(self, rng: random.Random) -> Iterator[tuple[Decisions, str]]:
        for found in islice(draws_within(self.space, self.search.budgets, rng), DRAWS):
            yield found.decisions, identity(found.architecture)

    def _numbers(self, costs: Iterable[Cost]) -> Floats:
        """Converts costs to an array, (networks, metrics)."""
        found = [[cost[m] for m in self.metrics] for cost in costs]
        return np.array(found, dtype=np.float64).reshape(len(found), len(self.metrics))

    @cached_property
    def _table(self) -> SpaceTable | None:
        try:
            return SpaceTable(self.space, self.metrics)
        except UsageError:
            return None
