"""The prices of a whole space as arrays, so that many networks are priced at once.

A slot's cost depends on few decisions: those about its geometry (see `dcdnas.space.pricing.places`) and those of its group.
Therefore the cost of any outcome is a sum over few *terms*, each an array with one axis for the structure and one for the
group's operator and settings. Integer metrics are summed as integers, so that the sums are exact and equal to
`dcdnas.cost.price`; a table with a non-integer metric sums floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.geometry import Cost, Setting
from dcdnas.cost import additive_metrics, metrics, slot_price
from dcdnas.errors import UsageError
from dcdnas.networks import STATIC, unnamed
from dcdnas.space.parts import Decisions, Group, Site
from dcdnas.space.pricing.places import places_of
from dcdnas.space.search_space import SearchSpace, layer_choice

Integers = NDArray[np.int64]

Numbers = NDArray[np.int64] | NDArray[np.float64]
"""Costs."""

METRICS = ("flops", "params")
CHUNK = 4096
"""Rows that are priced at once; chosen to fit the processor's cache."""


@dataclass(frozen=True)
class Digits:
    """Columns read as the digits of one mixed-radix number; the last digit varies fastest."""

    columns: tuple[int, ...]
    sizes: tuple[int, ...]

    def read(self, columns: Integers) -> Integers:
        """Returns the number of each row of an array (columns, rows)."""
        number = np.zeros(columns.shape[1], dtype=np.int64)
        for column, size in zip(self.columns, self.sizes, strict=True):
            number *= size
            number += columns[column]
        return number

    def number(self, digits: Sequence[int]) -> int:
        """Returns the number of one row."""
        number = 0
        for column, size in zip(self.columns, self.sizes, strict=True):
            number = number * size + digits[column]
        return number


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of a group, numbered: each operator with each combination of its settings.

    Args:
        choices: (operator, settings) by number.
        operator: column of the decision on the operator; None when there is one operator.
        settings: for each operator, its first number and the digits of its settings.
    """

    choices: tuple[tuple[str, tuple[tuple[str, Setting], ...]], ...]
    operator: int | None
    settings: tuple[tuple[int, Digits], ...]

    def read(self, columns: Integers) -> Integers:
        """Returns the number of each row's outcome, from an array (columns, rows)."""
        if self.operator is None:
            return self.settings[0][1].read(columns)
        chosen = columns[self.operator]
        number: Integers = np.array([first for first, _ in self.settings], dtype=np.int64)[chosen]
        for index, (_, digits) in enumerate(self.settings):
            if digits.columns:
                number += np.where(chosen == index, digits.read(columns), 0)
        return number

    def number(self, digits: Sequence[int]) -> int:
        """Returns the number of one row's outcome."""
        first, inner = self.settings[0 if self.operator is None else digits[self.operator]]
        return first + inner.number(digits)


@dataclass(frozen=True)
class Term:
    """The summed costs of slots that depend on the same decisions.

    Args:
        structure: the decisions about their geometry.
        group: number of their group; None for slots that are not searched.
        values: for each metric, cost by structure and outcome of the group.
    """

    structure: Digits
    group: int | None
    values: tuple[Numbers, ...]

    @property
    def outcomes(self) -> int:
        """Number of outcomes of the group; 1 without one."""
        return int(self.values[0].shape[1])


class SpaceTable:
    """Prices of all networks of a space.

    Args:
        space: to be priced.
        names: additive metrics.

    Raises:
        UsageError: when the space's networks do not separate into stages and blocks, or have too many structures to list, or
            when a metric is not a sum over the slots.
    """

    def __init__(self, space: SearchSpace, names: tuple[str, ...] = METRICS) -> None:
        if whole := [name for name in names if not metrics[name].additive]:
            raise UsageError(
                f"a table adds up the costs of slots, and {whole[0]} is not a sum over slots. Allowed: "
                f"{', '.join(additive_metrics())}. Price the networks one by one with dcdnas.cost.price."
            )
        self.space, self.names = space, names
        self._number = np.result_type(*(metrics[name].dtype for name in names))
        self.decisions = space.decisions
        self.columns = {d.name: i for i, d in enumerate(self.decisions)}
        self._index = {d.name: {option: i for i, option in enumerate(d.options)} for d in self.decisions}
        self.outcomes = tuple(self._outcomes(group) for group in space.groups)
        self.terms = tuple(self._terms())
        self._flat = [[np.ascontiguousarray(values).ravel() for values in term.values] for term in self.terms]
        self._lists = [[flat.tolist() for flat in values] for values in self._flat]

    def encode(self, outcomes: Iterable[Decisions]) -> Integers:
        """Encodes outcomes as rows of option numbers, one column per decision; 0 where a decision does not exist."""
        rows = [[index[o[name]] if name in o else 0 for name, index in self._index.items()] for o in outcomes]
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.decisions))

    def decode(self, row: Integers) -> dict[str, Setting]:
        """Decodes a row into an outcome: the decisions that exist in it."""
        options = {d.name: d.options[i] for d, i in zip(self.decisions, row.tolist(), strict=True)}
        return self.space.decide(lambda name, _: options[name])

    def costs(self, rows: Integers) -> Numbers:
        """Returns the cost of each row, one column per metric; integers if all metrics are."""
        found: Numbers = np.empty((len(rows), len(self.names)), dtype=self._number)
        for start in range(0, len(rows), CHUNK):
            found[start : start + CHUNK] = self._costs(np.ascontiguousarray(rows[start : start + CHUNK].T)).T
        return found

    def cost(self, outcome: Decisions) -> Cost:
        """Returns the cost of one outcome; takes microseconds, also for a network that was never priced before."""
        columns = [index[outcome[name]] if name in outcome else 0 for name, index in self._index.items()]
        numbers = [outcomes.number(columns) for outcomes in self.outcomes]
        totals: list[float] = [0] * len(self.names)
        for term, values in zip(self.terms, self._lists, strict=True):
            at = term.structure.number(columns)
            at = at if term.group is None else at * term.outcomes + numbers[term.group]
            for metric, flat in enumerate(values):
                totals[metric] += flat[at]
        return Cost(dict(zip(self.names, totals, strict=True)))

    def draw(self, count: int, rng: np.random.Generator) -> Integers:
        """Draws random rows: every decision takes its options with equal probability; forbidden combinations are not excluded."""
        rows = np.empty((count, len(self.decisions)), dtype=np.int64)
        for column, decision in enumerate(self.decisions):
            rows[:, column] = rng.integers(len(decision.options), size=count)
        return rows

    def _costs(self, columns: Integers) -> Numbers:
        """(columns, rows) -> (metrics, rows)."""
        numbers = [outcomes.read(columns) for outcomes in self.outcomes]
        structures: dict[Digits, Integers] = {}
        total: Numbers = np.zeros((len(self.names), columns.shape[1]), dtype=self._number)
        for term, values in zip(self.terms, self._flat, strict=True):
            if term.structure not in structures:
                structures[term.structure] = term.structure.read(columns)
            at = structures[term.structure]
            if term.group is not None:
                at = at * term.outcomes + numbers[term.group]
            for metric, flat in enumerate(values):
                total[metric] += flat[at]
        return total

    def _outcomes(self, group: Group) -> Outcomes:
        choices: list[tuple[str, tuple[tuple[str, Setting], ...]]] = []
        settings = []
        for c in group.candidates:
            open_ = [(self.columns[group.setting(c.operator, s)], len(options)) for s, options in c.settings if len(options) > 1]
            settings.append((len(choices), Digits(tuple(i for i, _ in open_), tuple(n for _, n in open_))))
            names, options = [s for s, _ in c.settings], [o for _, o in c.settings]
            choices += [(c.operator, tuple(zip(names, values, strict=True))) for values in product(*options)]
        return Outcomes(tuple(choices), self.columns.get(group.operator), tuple(settings))

    def _terms(self) -> Iterator[Term]:
        places = places_of(self.space)
        if places is None:
            raise UsageError(
                f"the networks of {self.space.name} do not separate into stages and blocks with independent costs, or "
                "have too many structures to list. Price them one by one, or search fewer settings of the whole network."
            )
        group_of = {slot: number for number, group in enumerate(self.space.groups) for slot in group.slots}
        values: dict[tuple[tuple[str, ...], int | None], tuple[Numbers, ...]] = {}
        known: dict[tuple[int | None, Site], tuple[Numbers, ...]] = {}
        for name, slots in places.slots.items():
            names, group = places.depends[name], group_of.get(name)
            numbers = [self._index[n] for n in names]
            for options, slot in slots.items():
                site = places.sites[name][options] if group is not None else Site(unnamed(slot))
                place = (group, site)
                if place not in known:
                    known[place] = self._prices(*place)
                if (names, group) not in values:
                    shape = tuple(map(len, numbers))
                    values[names, group] = tuple(_zeros(v, (*shape, len(v))) for v in known[place])
                at = tuple(index[o] for index, o in zip(numbers, options, strict=True))
                for total, prices in zip(values[names, group], known[place], strict=True):
                    total[at] += prices
        for (names, group), found in values.items():
            structure = Digits(tuple(self.columns[n] for n in names), found[0].shape[:-1])
            yield Term(structure, group, tuple(v.reshape(-1, v.shape[-1]) for v in found))

    def _prices(self, group: int | None, site: Site) -> tuple[Numbers, ...]:
        """For each metric, the cost of a slot by outcome of its group."""
        choices = [STATIC]
        if group is not None:
            choices = [layer_choice(operator, settings, site) for operator, settings in self.outcomes[group].choices]
        rows = zip(*(slot_price(site.slot, choice, self.names, self.space.prices) for choice in choices), strict=True)
        return tuple(_numbers(name, row) for name, row in zip(self.names, rows, strict=True))


def _numbers(metric: str, values: Sequence[float]) -> Numbers:
    found: Numbers = np.array(values, dtype=metrics[metric].dtype)
    return found


def _zeros(like: Numbers, shape: tuple[int, ...]) -> Numbers:
    return np.zeros(shape, np.int64) if like.dtype == np.int64 else np.zeros(shape, np.float64)
