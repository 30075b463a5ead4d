"""The part of a space within budgets: its share, the options that never fit, and those that are forced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Setting
from dcdnas.cost import ALWAYS
from dcdnas.space.parts import Decision
from dcdnas.space.pricing.cost import Share, check_budgets, largest, share_within, smallest
from dcdnas.space.pricing.draws import Draws
from dcdnas.space.pricing.extremes import extremes_by_option
from dcdnas.space.pricing.tree import tree_of
from dcdnas.space.search_space import SearchSpace
from dcdnas.space.width_fit import GOAL


@dataclass(frozen=True)
class Range:
    """The range of the costs of a space's networks in one metric.

    Args:
        metric: its name.
        smallest: cost of the cheapest network.
        largest: cost of the most expensive network.
        median: cost below which half of the space lies; None where it is unknown.
    """

    metric: str
    smallest: float
    largest: float
    median: float | None


@dataclass(frozen=True)
class Fit:
    """The part of a space that is within budgets.

    Args:
        ranges: of the costs, by metric.
        share: of the space that is within all budgets.
        never: decision -> options that no network within the budgets uses.
        forced: decision -> the only option that fits.
        notes: sentences about the space's file, budgets that bound nothing, and options that rules exclude.
        filled: share of the space that uses at least `GOAL` of the budget; None where no width is fitted to it.
    """

    ranges: tuple[Range, ...]
    share: Share
    never: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)
    forced: Mapping[str, Setting] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    filled: Share | None = None


def fit(space: SearchSpace, budgets: Sequence[Budget]) -> Fit:
    """Computes which part of the space is within the budgets.

    Raises:
        NothingFitsError: when no network is.
    """
    excluded = space.excluded()
    notes = [*space.notes, *check_budgets(space, budgets)]
    notes += [f"the rules leave no network with {name}: {', '.join(map(str, out))}." for name, out in excluded.items()]
    metrics = dict.fromkeys([*(b.metric for b in budgets), *ALWAYS])
    ranges = tuple(_range(space, metric) for metric in metrics)
    never = _never(space, budgets, excluded)
    left = {d.name: [o for o in d.options if o not in never.get(d.name, ())] for d in space.decisions}
    forced = {d.name: left[d.name][0] for d in space.decisions if len(left[d.name]) == 1 and _met(d, left)}
    return Fit(ranges, share_within(space, budgets), never, forced, tuple(notes), _filled(space))


def _met(decision: Decision, left: Mapping[str, Sequence[Setting]]) -> bool:
    """Whether the decision can exist in a network within the budgets."""
    return not decision.parent or any(option in left[decision.parent] for option in decision.when)


def _filled(space: SearchSpace) -> Share | None:
    """Share of the networks that use at least `GOAL` of the budget at their fitted width."""
    if space.fit is None or space.fit.budget is None:
        return None
    budget = space.fit.budget
    return share_within(space, [Budget(budget.metric, budget.at_most, GOAL * budget.at_most)])


def _range(space: SearchSpace, metric: str) -> Range:
    low, high = smallest(space, metric).cost[metric], largest(space, metric).cost[metric]
    tree = tree_of(space, metric)
    if tree is None:
        return Range(metric, low, high, None)
    if low == high:  # it may be 0, of which there are no bins
        return Range(metric, low, high, low)
    draws = Draws(tree, Budget(metric, high))
    below = np.cumsum(draws.table.chances)
    middle = (int(np.searchsorted(below, below[-1] / 2)) + (draws.table.roundings + 1) / 2) * draws.step
    return Range(metric, low, high, min(max(middle, low), high))


def _never(
    space: SearchSpace, budgets: Sequence[Budget], excluded: Mapping[str, tuple[Setting, ...]]
) -> dict[str, tuple[Setting, ...]]:
    """Options that rules exclude, whose cheapest network is over a budget, or whose most expensive is under its lower bound.

    Decisions that exist in no network within the budgets are left out, because the parent's options are listed already.
    """
    out = {(name, option) for name, options in excluded.items() for option in options}
    for budget in budgets:
        narrow, wide = (tree_of(end, budget.metric) for end in space.ends)
        if narrow is not None:
            out |= {key for key, cost in extremes_by_option(narrow, largest=False).items() if cost > budget.at_most}
        if wide is not None:
            out |= {key for key, cost in extremes_by_option(wide, largest=True).items() if cost < budget.at_least}
    found: dict[str, tuple[Setting, ...]] = {}
    for d in space.decisions:
        if d.parent and all((d.parent, option) in out for option in d.when):
            out |= {(d.name, option) for option in d.options}
        elif options := tuple(o for o in d.options if (d.name, o) in out):
            found[d.name] = options
    return found
