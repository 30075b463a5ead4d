"""What a space costs: its cheapest and dearest networks, the share within a budget, and draws from within it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget, within
from dcdnas.core.geometry import Cost, Setting
from dcdnas.core.units import quantity
from dcdnas.cost import ALWAYS, Prices, metrics, price, with_always
from dcdnas.errors import NothingFitsError, UsageError
from dcdnas.space.parts import Decisions, rank
from dcdnas.space.pricing.draws import Draws
from dcdnas.space.pricing.extremes import extreme
from dcdnas.space.pricing.tree import Chances, tree_of
from dcdnas.space.search_space import SearchSpace

TRIES = 5000
"""Draws in a row that may miss the budgets before no more are tried."""

RULED = 256
"""Outcomes of the decisions that rules name of which each is looked at, where no tree knows the ends of a space."""


@dataclass(frozen=True)
class Priced:
    """An outcome of a space's decisions, its network and what that costs."""

    decisions: Decisions
    architecture: Architecture
    cost: Cost


@dataclass(frozen=True)
class Share:
    """How much of a space is within the budgets, when each decision takes its options with the same chance.

    Args:
        inside: draws within.
        draws: all draws.
        bounds: what the share is at least and at most, for certain; the draws come from the latter part of the space.
    """

    inside: int
    draws: int
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def value(self) -> float:
        """The share, 0-1."""
        low, high = self.bounds
        return min(max(high * self.inside / self.draws, low), high) if self.draws else high

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval: Wilson's, within the bounds."""
        low, high = self.bounds
        if not self.draws:
            return low, high
        z, n, p = 1.96, self.draws, self.inside / self.draws
        centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        least, most = (high * edge / (1 + z * z / n) for edge in (centre - half, centre + half))
        return min(self.value, max(low, least)), max(self.value, min(high, most))


def priced(space: SearchSpace, decisions: Decisions, names: tuple[str, ...] = ALWAYS) -> Priced:
    """The network of an outcome with its cost by each of the metrics."""
    architecture = space.architecture(decisions)
    return Priced(decisions, architecture, price(architecture, names, space.prices))


@lru_cache(maxsize=64)
def smallest(space: SearchSpace, metric: str) -> Priced:
    """The cheapest network by `metric`, at its narrowest; exact where a tree of the space knows it, see `tree_of`."""
    return _extreme(space.ends[0], metric, largest=False)


@lru_cache(maxsize=64)
def largest(space: SearchSpace, metric: str) -> Priced:
    """The dearest network by `metric`, at its widest."""
    return _extreme(space.ends[1], metric, largest=True)


def share_within(space: SearchSpace, budgets: Sequence[Budget], draws: int = 500, seed: int = 0) -> Share:
    """The share of the space's outcomes that is within the budgets."""
    rng, source = random.Random(seed), _source(space, tuple(budgets), "operators")
    bounds = (0.0, 1.0) if source is None else (source.bounds[0] if len(budgets) == 1 else 0.0, source.bounds[1])
    if not bounds[1]:
        return Share(0, 0, bounds)
    outcomes = (source.choose(rng) if source else draw(space, rng) for _ in range(draws))
    inside = sum(within(priced(space, o, _metrics(budgets)).cost, budgets) for o in outcomes)
    return Share(inside, draws, bounds)


def draw(space: SearchSpace, rng: random.Random) -> dict[str, Setting]:
    """A random outcome: every decision that exists takes each of its options with the same chance."""
    while True:
        outcome = space.decide(lambda name, options: rng.choice(options))
        if not space.forbids(outcome):
            return outcome


def draws_within(
    space: SearchSpace,
    budgets: Sequence[Budget],
    rng: random.Random,
    tries: int = TRIES,
    chances: Chances = "operators",
    also: Sequence[str] = (),
) -> Iterator[Priced]:
    """Random networks within the budgets, as many as are asked for; ends after `tries` misses in a row.

    Args:
        space: to draw from.
        budgets: that hold for every draw.
        rng: where chance comes from.
        tries: misses in a row.
        chances: ``operators`` gives each decision's options the same chance, the operator first, then its settings;
            ``networks`` gives each network the same chance.
        also: metrics of the draws' costs beside the budgets' and `ALWAYS`.

    Raises:
        UsageError: for ``networks``, when the space's networks cannot be counted.
    """
    source = _source(space, tuple(budgets), chances)
    if source is None and chances == "networks":
        raise UsageError(
            f"the networks of {space.name} cannot be counted, so none can be drawn with equal chances. Take operators."
        )
    misses, names = 0, _metrics(budgets, also)
    while misses < tries and (source is None or source.at_most):
        candidate = priced(space, source.choose(rng) if source else draw(space, rng), names)
        copies = source.tree.copies(candidate.decisions) if source and chances == "networks" else 1
        accepted = within(candidate.cost, budgets) and (copies == 1 or rng.random() * copies < 1)
        misses = 0 if accepted else misses + 1
        if accepted:
            yield candidate


def check_budgets(space: SearchSpace, budgets: Sequence[Budget]) -> list[str]:
    """Sentences about budgets that bound nothing, because the dearest network is within.

    Raises:
        NothingFitsError: when a budget is below the space's cheapest network, or above its dearest, or all exclude each other;
            says which bound is in the way.
    """
    notes, blocked = [], []
    for budget in budgets:
        low, high = smallest(space, budget.metric).cost[budget.metric], largest(space, budget.metric).cost[budget.metric]
        least, most = quantity(budget.metric, low), quantity(budget.metric, high)
        if low > budget.at_most:
            blocked.append(
                f"no network of {space.name} meets {budget}: its smallest has {least}. Raise the budget to at least that."
            )
        elif high < budget.at_least:
            blocked.append(
                f"no network of {space.name} meets {budget}: its largest has {most}. Lower the bound, or take a larger space."
            )
        elif high <= budget.at_most and not budget.at_least:
            notes.append(f"{budget} bounds nothing: the largest network of {space.name} has {most}.")
    if blocked:
        raise NothingFitsError("\n".join(blocked))
    narrow = len(budgets) > 1 or any(b.at_least for b in budgets)
    if narrow and next(draws_within(space, budgets, random.Random(0), tries=1000), None) is None:
        raise NothingFitsError(f"no network of {space.name} was found that meets {_conflict(space, budgets)}")
    return notes


def _conflict(space: SearchSpace, budgets: Sequence[Budget]) -> str:
    """Which bound is in the way: how near networks within one budget come to the others."""
    if len(budgets) == 1:
        return f"{budgets[0]}. Widen the range."
    seen = []
    for budget in budgets:
        others = [b for b in budgets if b is not budget]
        near = list(islice(draws_within(space, [budget], random.Random(0)), 200))
        for other in others if near else ():
            costs = [price(p.architecture, (other.metric,), space.prices) for p in near]
            best = min(costs, key=other.violation)[other.metric]
            seen.append(
                f"of {len(near)} networks drawn within {budget}, the nearest to {other} has {quantity(other.metric, best)}"
            )
    return f"all of {', '.join(map(str, budgets))} at once: {'; '.join(seen)}. Loosen one of them."


@lru_cache(maxsize=16)
def _source(space: SearchSpace, budgets: tuple[Budget, ...], chances: Chances) -> Draws | None:
    """Where to draw from: within the budget that the least of the space meets; None for draws from the whole space."""
    if not budgets and chances == "networks":
        budgets = (Budget(ALWAYS[0], largest(space, ALWAYS[0]).cost[ALWAYS[0]]),)
    trees = ((tree_of(space, budget.metric), budget) for budget in budgets)
    found = [Draws(tree, budget, chances) for tree, budget in trees if tree is not None]
    return min(found, key=lambda d: d.bounds[1], default=None)


def _extreme(space: SearchSpace, metric: str, largest: bool) -> Priced:
    tree = tree_of(space, metric)
    if tree is not None:
        return priced(space, tree.decisions(extreme(tree, largest)[1]), with_always([metric]))
    return _by_coordinate(space, metric, largest)


def _by_coordinate(space: SearchSpace, metric: str, largest: bool) -> Priced:
    """Every structural option at its end, then each group at its cheapest or dearest: right where costs grow with each option.

    What rules name takes each of its allowed outcomes in turn; of very many, some.
    """
    pick = max if largest else min
    step = -(-len(space.allowed) // RULED)
    ends = [_end(space, metric, largest, fixed) for fixed in space.allowed[::step]]
    best = pick((space.architecture(o) for o in ends), key=lambda a: _level(a, metric, space.prices)).digest
    return priced(space, next(o for o in ends if space.architecture(o).digest == best), with_always([metric]))


def _end(space: SearchSpace, metric: str, largest: bool, fixed: Decisions) -> dict[str, Setting]:
    """The cheapest or dearest outcome with some decisions made."""
    pick = max if largest else min
    outcome = {v.decision: pick(v.options, key=rank) for v in space.variables if v.decision} | dict(fixed)
    for group in space.groups:
        outcomes = [o for o in group.outcomes if all(fixed.get(name, value) == value for name, value in o.items())]
        outcome |= pick(outcomes, key=lambda o: _level(space.architecture({**outcome, **o}), metric, space.prices))
    return space.decide(lambda name, options: outcome.get(name, options[0]))


def _level(architecture: Architecture, metric: str, prices: Prices) -> list[float]:
    """What networks are compared by: the cost, or of a maximum all that it is the greatest of, from the greatest on."""
    peaks = metrics[metric].peaks
    return [price(architecture, (metric,), prices)[metric]] if peaks is None else sorted(peaks(architecture), reverse=True)


def _metrics(budgets: Sequence[Budget], also: Sequence[str] = ()) -> tuple[str, ...]:
    return with_always([*(b.metric for b in budgets), *also])
