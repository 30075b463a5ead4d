"""`width: fit`: solves for the width with which a network uses its budget, so that operators compete at equal cost.

The width is the largest one on a grid at which the network is within the budget. Channels are multiples of 8, so a single width
for all stages may leave part of the budget unused. Then one stage, or the head, is widened by a step, repeatedly until `GOAL` of
the budget is used or no step fits; each time the most expensive step within the budget is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.networks import make_divisible

GOAL = 0.95
"""Share of the budget that a network should use."""

STEP = 0.01
"""Spacing of the grid of widths."""

BOUNDS = (0.1, 4.0)
"""Smallest and largest width when the space file gives no bounds."""

WIDTHS = (0.05, 10.0)
"""Smallest and largest width that a space file may give."""

Changes = tuple[tuple[str, Any], ...]
"""Changed settings of the backbone, as (name, value) pairs."""


@dataclass(frozen=True)
class WidthFit:
    """Bounds of the width of a space's networks, and the budget that the width is fitted to.

    Args:
        at_least: the smallest width.
        at_most: the largest width.
        budget: to be filled; None until a search, or a query about a budget, gives one.
    """

    at_least: float = BOUNDS[0]
    at_most: float = BOUNDS[1]
    budget: Budget | None = None

    def solve(self, cost: Callable[[Changes], float], channels: Changes, budget: Budget) -> Changes:
        """Returns the settings of the network that fills the budget: its width, and the channels if some were widened further.

        If even the narrowest network is over the budget, that one; if none reaches `GOAL`, the widest one within the budget.

        Args:
            cost: function from changed settings of the backbone to the network's cost in the budget's metric.
            channels: the backbone's settings that may be widened: ``channels`` of the stages, ``head_channels``.
            budget: whose upper bound is filled.
        """
        first, last = math.ceil(round(self.at_least / STEP, 6)), math.floor(round(self.at_most / STEP, 6))
        number, used = _largest_within(lambda n: cost(_width(n)), first, last, budget.at_most)
        found = _width(number)
        while number < last and used < GOAL * budget.at_most:
            wider = [(cost(changes), changes) for changes in _steps((*_width(number), *channels), round(number * STEP, 2))]
            fitting = [w for w in wider if used < w[0] <= budget.at_most]
            if not fitting:
                break
            used, found = max(fitting)
            channels = found[1:]
        return found


def _width(number: int) -> Changes:
    return (("width", round(number * STEP, 2)),)


def _largest_within(cost: Callable[[int], float], first: int, last: int, bound: float) -> tuple[int, float]:
    """Returns the largest number whose cost is within `bound`, and the cost, for growing costs; `first` where none is.

    Costs grow roughly as the square of the width, so linear interpolation between the square roots of the costs needs few steps;
    after a step that has not halved the remaining interval, the next one bisects it.
    """
    low, high = cost(first), cost(last)
    if low > bound or high <= bound:
        return (first, low) if low > bound else (last, high)
    halve = False
    while (left := last - first) > 1:
        share = 0.5 if halve else (math.sqrt(bound) - math.sqrt(low)) / (math.sqrt(high) - math.sqrt(low))
        number = min(max(first + round(share * left), first + 1), last - 1)
        found = cost(number)
        if found <= bound:
            first, low = number, found
        else:
            last, high = number, found
        halve = not halve and last - first > left / 2
    return first, low


def _steps(changes: Changes, width: float) -> Iterator[Changes]:
    """Ways to widen one stage, or the head, by a step of 8 channels; two for the head, which some backbones never narrow."""
    wider: list[Any]
    for place, (name, value) in enumerate(changes):
        if name == "channels":
            wider = [(*value[:n], _next(c, width), *value[n + 1 :]) for n, c in enumerate(value)]
        else:
            wider = sorted({_next(value, width), _next(value, max(1.0, width))}) if name == "head_channels" and value else []
        yield from ((*changes[:place], (name, new), *changes[place + 1 :]) for new in wider)


def _next(channels: int, width: float) -> int:
    """Smallest number of channels that, scaled by `width`, is one step wider."""
    wanted, more = make_divisible(channels * width) + 8, channels + 1
    while make_divisible(more * width) < wanted:
        more += 1
    return more
