"""The uniform static ladder: networks that need no search, which every search trains first and is measured against."""

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
    """Uniform static networks within the budgets: the dearest, the cheapest, and two evenly between them in log cost.

    Fewer where the space has fewer of different cost, none where it has no static operator in some place.

    Args:
        space: whose networks are looked at.
        budgets: that hold for it; the first one's metric orders the ladder, FLOPs without budgets.
        also: metrics of their cost beside the budgets' and those that every cost has.
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
