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

    FLOPs order networks of equal cost, because a budget's metric may distinguish few static networks: networks that differ in
    resolution have the same parameters, and none of them has kernel memory. There are fewer rungs if the space has fewer networks
    of different cost or FLOPs; none if some group of slots has no static candidate.

    Args:
        space: from which the networks are taken.
        budgets: that they must meet; the first one's metric orders the ladder, or FLOPs without budgets.
        also: further metrics in which they are priced, beside the budgets' and those of every price.
    """
    metrics = (budgets[0].metric if budgets else ALWAYS[0], ALWAYS[0])
    names = with_always([*(b.metric for b in budgets), *also])
    known: dict[tuple[float, ...], Priced] = {}
    for outcome in space.uniform_static():
        found = priced(space, outcome, names)
        if within(found.cost, budgets):
            known.setdefault(tuple(found.cost[metric] for metric in metrics), found)
    if not known:
        return []
    logs = {costs: [logarithm(c, notation(m).least) for c, m in zip(costs, metrics, strict=True)] for costs in known}
    chosen = [max(known), min(known)]
    high, low = (logs[costs] for costs in chosen)
    for rung in range(1, RUNGS - 1):
        wanted = [a + (b - a) * rung / (RUNGS - 1) for a, b in zip(low, high, strict=True)]
        chosen.append(min(known, key=lambda costs: [abs(a - b) for a, b in zip(logs[costs], wanted, strict=True)]))
    return [known[costs] for costs in dict.fromkeys(chosen)]
