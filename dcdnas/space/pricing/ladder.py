"""The uniform static ladder: networks that need no search, which every search trains first and is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from dcdnas.core.budget import Budget, within
from dcdnas.core.pareto import logarithm
from dcdnas.core.units import notation
from dcdnas.cost import ALWAYS, with_always
from dcdnas.space.pricing.cost import Priced, priced
from dcdnas.space.search_space import SearchSpace

RUNGS = 4


def static_ladder(space: SearchSpace, budgets: Sequence[Budget], also: Sequence[str] = ()) -> list[Priced]:
    """Returns uniform static networks within the budgets: the most expensive, the cheapest, and two evenly between in log cost.

    Fewer if the space has fewer of different cost; none if some group of slots has no static candidate.

    Args:
        space: from which the networks are taken.
        budgets: that they must meet; the first one's metric orders the ladder, or FLOPs without budgets.
        also: further metrics in which they are priced, beside the budgets' and those of every price.
    """
    metric = budgets[0].metric if budgets else ALWAYS[0]
    names = with_always([*(b.metric for b in budgets), *also])
    known: dict[float, Priced] = {}
    for outcome in space.uniform_static():
        found = priced(space, outcome, names)
        if within(found.cost, budgets):
            known.setdefault(found.cost[metric], found)
    if not known:
        return []
    least = notation(metric).least
    low, high = logarithm(min(known), least), logarithm(max(known), least)
    chosen = [max(known), min(known)]
    for rung in range(1, RUNGS - 1):
        wanted = low + (high - low) * rung / (RUNGS - 1)
        chosen.append(min(known, key=lambda cost: abs(logarithm(cost, least) - wanted)))
    return [known[cost] for cost in dict.fromkeys(chosen)]
