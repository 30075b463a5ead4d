"""`width: fit`: the width of every network is solved so that it uses its budget, and operators compete at equal cost.

The width is the largest on a grid at which the network is within the budget. Channels come in steps of 8, so that one width for
all stages may leave a gap; then a stage, or the head, is made a step wider as
often as the budget allows, each time by the largest step that it holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.networks import make_divisible

GOAL = 0.95
"""Share of the budget that a network is to use."""

STEP = 0.01
"""Of the grid of widths."""

BOUNDS = (0.1, 4.0)
"""Widths that are tried when the space file does not say which."""

WIDTHS = (0.05, 10.0)
"""What a space file may say."""

Changes = tuple[tuple[str, Any], ...]
"""Settings of the backbone that take the place of others."""


@dataclass(frozen=True)
class WidthFit:
    """How wide the networks of a space may be, and the budget that they use.

    Args:
        at_least: the narrowest width.
        at_most: the widest.
        budget: that is filled; None until a search, or a question about a budget, names it.
    """

    at_least: float = BOUNDS[0]
    at_most: float = BOUNDS[1]
    budget: Budget | None = None

    def solve(self, cost: Callable[[Changes], float], channels: Changes, budget: Budget) -> Changes:
        """The settings of the network that fills the budget: its width, and the channels of what was widened beside it.

        Where even the narrowest network is over the budget, that one; where none reaches `GOAL`, the widest below the budget.

        Args:
            cost: of the network with some settings of the backbone changed, by the budget's metric.
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
    """The largest number whose cost is within, and the cost, when costs grow; the first where none is.

    Costs grow about as the square of the width, so that a straight line between the roots finds the place in few steps; whenever
    a step has not halved what is left, the next one does.
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
    """Each way to make one stage, or the head, a step of 8 channels wider; some backbones make the head narrower too."""
    wider: list[Any]
    for place, (name, value) in enumerate(changes):
        if name == "channels":
            wider = [(*value[:n], _next(c, width), *value[n + 1 :]) for n, c in enumerate(value)]
        else:
            wider = sorted({_next(value, width), _next(value, max(1.0, width))}) if name == "head_channels" and value else []
        yield from ((*changes[:place], (name, new), *changes[place + 1 :]) for new in wider)


def _next(channels: int, width: float) -> int:
    """The least number of channels that `width` makes a step wider."""
    wanted, more = make_divisible(channels * width) + 8, channels + 1
    while make_divisible(more * width) < wanted:
        more += 1
    return more
