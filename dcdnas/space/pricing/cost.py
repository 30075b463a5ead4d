"""The costs of a space: its cheapest and most expensive networks, the share within budgets, and draws from it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget, read_back, within
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
"""Consecutive draws outside the budgets after which drawing stops."""

RULED = 256
"""Maximum number of outcomes of the decisions named by rules that are tried for the extremes of a space without a tree."""


@dataclass(frozen=True)
class Priced:
    """An outcome of a space's decisions, its architecture and the cost."""

    decisions: Decisions
    architecture: Architecture
    cost: Cost


@dataclass(frozen=True)
class Share:
    """The share of a space within the budgets, when each decision takes its options with equal probability.

    Args:
        inside: number of draws within the budgets.
        draws: number of all draws.
        bounds: certain lower and upper bound of the share; all draws come from the part that the upper bound describes.
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
        """95 % confidence interval of the share (Wilson), cut to the bounds."""
        low, high = self.bounds
        if not self.draws:
            return low, high
        z, n, p = 1.96, self.draws, self.inside / self.draws
        centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        least, most = (high * edge / (1 + z * z / n) for edge in (centre - half, centre + half))
        return min(self.value, max(low, least)), max(self.value, min(high, most))


def priced(space: SearchSpace, decisions: Decisions, names: tuple[str, ...] = ALWAYS) -> Priced:
    """Builds the architecture of an outcome and prices it in each of the metrics."""
    architecture = space.architecture(decisions)
    return Priced(decisions, architecture, price(architecture, names, space.prices))


@lru_cache(maxsize=64)
def smallest(space: SearchSpace, metric: str) -> Priced:
    """Returns the cheapest network by `metric`, at the smallest width; exact where the space has a tree, see `tree_of`."""
    return _extreme(space.ends[0], metric, largest=False)


@lru_cache(maxsize=64)
def largest(space: SearchSpace, metric: str) -> Priced:
    """Returns the most expensive network by `metric`, at the largest width."""
    return _extreme(space.ends[1], metric, largest=True)


def share_within(space: SearchSpace, budgets: Sequence[Budget], draws: int = 500, seed: int = 0) -> Share:
    """Estimates the share of the space's outcomes that is within the budgets."""
    rng, source = random.Random(seed), _source(space, tuple(budgets), "operators")
    bounds = (0.0, 1.0) if source is None else (source.bounds[0] if len(budgets) == 1 else 0.0, source.bounds[1])
    if not bounds[1]:
        return Share(0, 0, bounds)
    outcomes = (source.choose(rng) if source else draw(space, rng) for _ in range(draws))
    inside = sum(within(priced(space, o, _metrics(budgets)).cost, budgets) for o in outcomes)
    return Share(inside, draws, bounds)


def draw(space: SearchSpace, rng: random.Random) -> dict[str, Setting]:
    """Draws a random allowed outcome: every decision that exists takes each of its options with equal probability."""
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
    """Yields random networks within the budgets, as many as the caller takes; ends after `tries` consecutive misses.

    Args:
        space: to draw from.
        budgets: that every draw meets.
        rng: source of randomness.
        tries: consecutive draws outside the budgets after which drawing stops.
        chances: ``operators`` gives each decision's options equal probability, the operator first, then its settings;
            ``networks`` gives each network equal probability.
        also: further metrics of the draws' costs, beside the budgets' and `ALWAYS`.

    Raises:
        UsageError: for ``networks``, when the space's networks cannot be counted.
    """
    source = _source(space, tuple(budgets), chances)
    if source is None and chances == "networks":
        raise UsageError(
            f"the networks of {space.name} cannot be counted, so they cannot be drawn with equal probability. Allowed: operators."
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
    """Returns sentences about budgets that bound nothing, because the most expensive network is within them.

    Raises:
        NothingFitsError: when a budget is below the space's cheapest network or above its most expensive one, or when no network
            was found that meets all budgets; says which bound is in the way.
    """
    notes, blocked = [], []
    for budget in budgets:
        low, high = smallest(space, budget.metric).cost[budget.metric], largest(space, budget.metric).cost[budget.metric]
        least, most = as_bound(budget.metric, low), as_bound(budget.metric, high, lower=True)
        if low > budget.at_most:
            blocked.append(
                f"no network of {space.name} meets {budget}: its smallest has {least}. Raise the budget to at least that."
            )
        elif high < budget.at_least:
            blocked.append(
                f"no network of {space.name} meets {budget}: its largest has {most}. Lower the bound, or take a larger space."
            )
        elif high <= budget.at_most and not budget.at_least:
            notes.append(f"{budget} bounds nothing: the largest network of {space.name} has {quantity(budget.metric, high)}.")
    if blocked:
        raise NothingFitsError("\n".join(blocked))
    narrow = len(budgets) > 1 or any(b.at_least for b in budgets)
    if narrow and next(draws_within(space, budgets, random.Random(0), tries=1000), None) is None:
        raise NothingFitsError(f"no network of {space.name} was found that meets {_conflict(space, budgets)}")
    return notes


def as_bound(metric: str, value: float, lower: bool = False) -> str:
    """Writes a cost with as many digits as a bound needs that it has to meet: 188,400 FLOPs are not within ``188 kFLOPs``.

    Args:
        metric: cost metric.
        value: cost of a network.
        lower: whether the text is a lower bound, which must not be above the cost, instead of an upper one.
    """
    if not 0 < value < math.inf:  # no bound can be 0
        return quantity(metric, value)
    for digits in range(3, 17):
        text = quantity(metric, value, digits)
        read = read_back(metric, text)
        if read <= value if lower else read >= value:
            break
    return text


def _conflict(space: SearchSpace, budgets: Sequence[Budget]) -> str:
    """Describes which bound is in the way: how close networks within one budget come to the others."""
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
    """Returns draws within the budget that the smallest share of the space meets; None for draws from the whole space."""
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
    """Takes each structural option at its end, then each group's extreme outcome; exact if costs grow with every number.

    Decisions that rules name take each of their allowed outcomes in turn, or `RULED` of them if there are more.
    """
    pick = max if largest else min
    step = -(-len(space.allowed) // RULED)
    ends = [_end(space, metric, largest, fixed) for fixed in space.allowed[::step]]
    best = pick((space.architecture(o) for o in ends), key=lambda a: _level(a, metric, space.prices)).digest
    return priced(space, next(o for o in ends if space.architecture(o).digest == best), with_always([metric]))


def _end(space: SearchSpace, metric: str, largest: bool, fixed: Decisions) -> dict[str, Setting]:
    """Returns the cheapest or most expensive outcome with some decisions fixed.

    Words, like the kinds of a block, have no order, so the option of each is chosen by the networks' costs.
    """
    pick = max if largest else min
    outcome = {v.decision: pick(v.options, key=rank) for v in space.variables if v.decision} | dict(fixed)
    words = {v.decision: v.options for v in space.variables if any(isinstance(option, str) for option in v.options)}
    choices = [[{name: option} for option in options] for name, options in words.items() if name and name not in fixed]
    choices += [
        [o for o in g.outcomes if all(fixed.get(name, value) == value for name, value in o.items())] for g in space.groups
    ]
    for each in choices:
        outcome |= pick(each, key=lambda o: _level(space.architecture({**outcome, **o}), metric, space.prices))
    return space.decide(lambda name, options: outcome.get(name, options[0]))


def _level(architecture: Architecture, metric: str, prices: Prices) -> list[float]:
    """Sort key of a network: its cost, or for a metric that is a maximum all of its peaks, from the greatest down."""
    peaks = metrics[metric].peaks
    return [price(architecture, (metric,), prices)[metric]] if peaks is None else sorted(peaks(architecture), reverse=True)


def _metrics(budgets: Sequence[Budget], also: Sequence[str] = ()) -> tuple[str, ...]:
    return with_always([*(b.metric for b in budgets), *also])
