"""What a space costs: its cheapest and dearest networks, the share within a budget, and draws from within it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dcdnas.architecture import Architecture
from dcdnas.budget import Budget, exceeded, quantity, within
from dcdnas.cost import price
from dcdnas.errors import NothingFitsError
from dcdnas.records import Cost, Setting
from dcdnas.space import Decisions, Group, SearchSpace, rank


@dataclass(frozen=True)
class Priced:
    """An outcome of a space's decisions, its network and what that costs."""

    decisions: Decisions
    architecture: Architecture
    cost: Cost


@dataclass(frozen=True)
class Share:
    """How much of a space is within the budgets, estimated from independent draws.

    Args:
        inside: draws within.
        draws: all draws.
        costs: their costs, in the order drawn.
    """

    inside: int
    draws: int
    costs: tuple[Cost, ...]

    @property
    def value(self) -> float:
        """The share, 0-1."""
        return self.inside / self.draws

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval (Wilson's)."""
        z, n, p = 1.96, self.draws, self.value
        centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))


def priced(space: SearchSpace, decisions: Decisions) -> Priced:
    """The network of an outcome with its cost."""
    architecture = space.architecture(decisions)
    return Priced(decisions, architecture, price(architecture))


def smallest(space: SearchSpace, metric: str) -> Priced:
    """The cheapest network by `metric`: every structural option at its least, every group's operator the cheapest there."""
    return _extreme(space, metric, largest=False)


def largest(space: SearchSpace, metric: str) -> Priced:
    """The dearest network by `metric`."""
    return _extreme(space, metric, largest=True)


def static_reference(space: SearchSpace, budgets: Sequence[Budget]) -> Priced | None:
    """The dearest uniform all-static network within the budgets, by the first budget's metric; None when none fits."""
    metric = budgets[0].metric if budgets else "flops"
    fitting = (p for p in (priced(space, o) for o in space.uniform_static()) if within(p.cost, budgets))
    return max(fitting, key=lambda p: p.cost[metric], default=None)


def share_within(space: SearchSpace, budgets: Sequence[Budget], draws: int = 2000, seed: int = 0) -> Share:
    """The share of the space's outcomes that is within the budgets."""
    rng = random.Random(seed)
    costs = tuple(priced(space, draw(space, rng)).cost for _ in range(draws))
    return Share(sum(within(c, budgets) for c in costs), draws, costs)


def draw(space: SearchSpace, rng: random.Random) -> dict[str, Setting]:
    """A random outcome: every decision that exists takes each of its options with the same chance."""
    while True:
        outcome = space.decide(lambda name, options: rng.choice(options))
        if not space.forbids(outcome):
            return outcome


def draws_within(space: SearchSpace, budgets: Sequence[Budget], rng: random.Random, tries: int = 5000) -> Iterator[Priced]:
    """Random outcomes within the budgets, as many as are asked for; ends after `tries` misses in a row."""
    misses = 0
    while misses < tries:
        candidate = priced(space, draw(space, rng))
        misses = 0 if within(candidate.cost, budgets) else misses + 1
        if not misses:
            yield candidate


def check_budgets(space: SearchSpace, budgets: Sequence[Budget]) -> list[str]:
    """Sentences about budgets that bound nothing, because the dearest network is within.

    Raises:
        NothingFitsError: when a budget is below the space's cheapest network, or above its dearest, or all exclude each other.
    """
    notes = []
    for budget in budgets:
        low, high = smallest(space, budget.metric).cost, largest(space, budget.metric).cost
        least, most = (quantity(budget.metric, c[budget.metric]) for c in (low, high))
        if low[budget.metric] > budget.at_most:
            raise NothingFitsError(
                f"no network of {space.name} meets {budget}: its smallest has {least}. Raise the budget to at least that."
            )
        if high[budget.metric] < budget.at_least:
            raise NothingFitsError(
                f"no network of {space.name} meets {budget}: its largest has {most}. Lower the bound, or take a larger space."
            )
        if high[budget.metric] <= budget.at_most:
            notes.append(f"{budget} bounds nothing: the largest network of {space.name} has {most}.")
    if len(budgets) > 1 and next(draws_within(space, budgets, random.Random(0)), None) is None:
        cheapest = smallest(space, budgets[0].metric).cost
        if not within(cheapest, budgets):
            raise NothingFitsError(
                f"no network of {space.name} was found that meets all budgets at once: {exceeded(cheapest, budgets)}."
            )
    return notes


def _extreme(space: SearchSpace, metric: str, largest: bool) -> Priced:
    """Costs add up over slots and grow with every structural option, so each part can be chosen by itself."""
    pick = max if largest else min
    outcome: dict[str, Setting] = {v.decision: pick(v.options, key=rank) for v in space.variables if v.decision}
    for group in space.groups:
        outcome |= pick(_outcomes(group), key=lambda o: price(space.architecture({**outcome, **o}))[metric])
    return priced(space, outcome)


def _outcomes(group: Group) -> Iterator[dict[str, Setting]]:
    """Every operator of a group with every combination of its settings."""
    for candidate in group.candidates:
        combinations: list[dict[str, Setting]] = [{f"{group.name}.operator": candidate.operator}]
        for setting, options in candidate.settings:
            name = f"{group.name}.{candidate.operator}.{setting}"
            combinations = [{**c, name: option} for c in combinations for option in options]
        yield from combinations
