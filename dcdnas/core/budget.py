"""Budgets: parses them as a person writes them (`300MFLOPs`, `5Mparams`, `250-300MFLOPs`, `2ms`) and checks costs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dcdnas.core.geometry import Cost
from dcdnas.core.units import NUMBER, PREFIXES, UNIT, Notations, notation, quantity, read_number
from dcdnas.errors import BudgetError

_EXAMPLE = "Write one like 300MFLOPs, 4Mparams or 200kB."
_NAME = r"(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
_PATTERN = re.compile(
    rf"\s*(?:{_NAME}\s*(?:<=|≤|<|=|:)\s*)?(?:(?P<low>{NUMBER})\s*(?:-|–|\.\.)\s*)?(?P<high>{NUMBER})\s*(?P<unit>{UNIT})\s*"
)
_BETWEEN = re.compile(rf"\s*(?P<low>{NUMBER}\s*{UNIT})(?:<=|≤)\s*{_NAME}\s*(?:<=|≤)(?P<high>.+)")


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound on one metric of the deployment cost.

    Args:
        metric: name of the cost metric, e.g. ``flops``.
        at_most: upper bound in the metric's base unit, inclusive.
        at_least: lower bound, inclusive; 0 for none.
    """

    metric: str
    at_most: float
    at_least: float = 0.0

    def holds(self, cost: Cost) -> bool:
        """Whether `cost` is within the bounds."""
        return self.at_least <= cost[self.metric] <= self.at_most

    def violation(self, cost: Cost) -> float:
        """How far `cost` is outside, as a share of the violated bound; at most 0 when it is within."""
        value = cost[self.metric]
        below = 1 - value / self.at_least if self.at_least else -math.inf
        return max(value / self.at_most - 1, below)

    def written(self, digits: int = 3) -> str:
        """Writes the budget with so many digits: ``flops <= 300 MFLOPs``, ``250 MFLOPs <= flops <= 300 MFLOPs``."""
        upper = f"{self.metric} <= {quantity(self.metric, self.at_most, digits)}"
        return f"{quantity(self.metric, self.at_least, digits)} <= {upper}" if self.at_least else upper

    def __str__(self) -> str:
        return self.written()


def parse_budget(text: str, notations: Notations) -> Budget:
    """Reads one budget.

    Args:
        text: like ``300MFLOPs``, ``weights<=200kB`` or ``250-300MFLOPs``. A bare ``300M`` is refused, since it names no quantity.
        notations: notations of the metrics that may be bounded.

    Raises:
        BudgetError: when the text cannot be read, names no quantity, is not positive or is an empty range.
    """
    if not (between := _BETWEEN.fullmatch(text)):
        return _checked(text, _bounds(text, text, notations))
    lower, upper = (_bounds(text, f"{between['name']} <= {between[side]}", notations) for side in ("low", "high"))
    if upper.at_least:
        raise BudgetError(f"{text!r} has two lower bounds. Write a range like 250-300MFLOPs.")
    return _checked(text, Budget(upper.metric, upper.at_most, lower.at_most))


def parse_budgets(texts: Iterable[str], notations: Notations) -> tuple[Budget, ...]:
    """Reads several budgets, at most one per metric; see `parse_budget`.

    Raises:
        BudgetError: as for `parse_budget`, and when two budgets bound the same metric.
    """
    budgets: dict[str, Budget] = {}
    for text in texts:
        budget = parse_budget(text, notations)
        if budget.metric in budgets:
            other = budgets[budget.metric]
            raise BudgetError(
                f"two budgets bound {budget.metric}: {other} and {budget}. Keep one, or write a range like 250-300MFLOPs."
            )
        budgets[budget.metric] = budget
    return tuple(budgets.values())


def named(text: str) -> str:
    """The quantity that a budget names, as `parse_budget` reads it; empty where only its unit implies the quantity."""
    match = _BETWEEN.fullmatch(text) or _PATTERN.fullmatch(text)
    return _name(match)


def within(cost: Cost, budgets: Sequence[Budget]) -> bool:
    """Whether all budgets hold."""
    return all(b.holds(cost) for b in budgets)


def exceeded(cost: Cost, budgets: Sequence[Budget]) -> str:
    """Describes the budgets that do not hold, with digits that show it; empty when all do."""
    return "; ".join(_outside(b, cost[b.metric]) for b in budgets if not b.holds(cost))


def read_back(metric: str, text: str) -> float:
    """Returns the number that a budget on the metric would have with this text, which `quantity` wrote."""
    return parse_budget(f"{metric}<={text}", {metric: notation(metric)}).at_most


def _outside(budget: Budget, value: float) -> str:
    """Says that a value is outside a budget, with as many digits as it takes for what is written to be outside, too."""
    metric, digits = budget.metric, 3
    while 0 < value < math.inf and digits < 16:
        told = quantity(metric, value, digits)
        bounds = [quantity(metric, bound, digits) for bound in (budget.at_least, budget.at_most)]
        if not budget.holds(Cost({metric: read_back(metric, told)})) and told not in bounds:
            break
        digits += 1
    return f"{quantity(metric, value, digits)} is outside {budget.written(digits)}"


def _name(match: re.Match[str] | None) -> str:
    return (match["name"] or "").lower().replace("_", "-") if match else ""


def _bounds(text: str, part: str, notations: Notations) -> Budget:
    """Reads one bound or range without checking its numbers; `text` is the whole budget, for messages."""
    match = _PATTERN.fullmatch(part)
    if not match:
        raise BudgetError(f"cannot read budget {text!r}. {_EXAMPLE}")
    metric, size = _meant(text, _name(match), match["unit"].replace(" ", ""), match["high"], notations)
    return Budget(metric, read_number(match["high"], size), read_number(match["low"], size) if match["low"] else 0.0)


def _checked(text: str, budget: Budget) -> Budget:
    if not 0 < budget.at_most < math.inf:
        raise BudgetError(f"a budget must be more than zero and finite, not {text!r}. {_EXAMPLE}")
    if budget.at_least > budget.at_most:
        raise BudgetError(f"the range {text!r} is empty: its lower bound is above its upper. Write the smaller number first.")
    return budget


def _meant(text: str, name: str, unit: str, number: str, notations: Notations) -> tuple[str, float]:
    """The metric that a budget bounds, and the size of its unit."""
    if not name:
        return _by_unit(text, unit, number, notations)
    known = next((n for n in notations.values() if name == n.metric or name in n.words), None)
    if known is None:
        raise BudgetError(f"cannot read budget {text!r}: unknown quantity {name!r}. Allowed: {', '.join(notations)}. {_EXAMPLE}")
    size = known.scale.size(unit, named=True)
    if size is None:
        symbols = ", ".join(symbol for _, symbol in known.scale.steps)
        raise BudgetError(f"cannot read budget {text!r}: unknown unit {unit!r}. Units of {known.metric}: {symbols}.")
    return known.metric, size


def _by_unit(text: str, unit: str, number: str, notations: Notations) -> tuple[str, float]:
    """The metric and size of the unit for a budget without a metric's name: the metric is found by its unit."""
    if unit.lower() in PREFIXES:
        words = " or ".join(f"{number}{unit}{n.base}" for n in notations.values() if n.scale.prefixed)
        raise BudgetError(
            f"{text!r} has no quantity: did you mean {words}?" if words else f"{text!r} has no quantity. {_EXAMPLE}"
        )
    sizes = {n.metric: size for n in notations.values() if (size := n.scale.size(unit, named=False)) is not None}
    found = [metric for metric in sizes if notations[metric].implied] or list(sizes)
    if not found:
        raise BudgetError(f"cannot read budget {text!r}: unknown unit {unit!r}. {_EXAMPLE}")
    if len(found) > 1:
        raise BudgetError(
            f"{text!r} may bound {' or '.join(found)}. Name the one that is meant, like {found[0]}<={number}{unit}."
        )
    return found[0], sizes[found[0]]
