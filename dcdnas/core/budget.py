"""Budgets as a person writes them (`300MFLOPs`, `5Mparams`, `250-300MFLOPs`, `2ms`) and as the search checks them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dcdnas.core.geometry import Cost
from dcdnas.errors import BudgetError

_EXAMPLE = "Write one like 300MFLOPs, 4Mparams or 200kB."
_WORDS = {
    "flops": ("flops", "flop", "macs", "mac", "madds", "madd", "multadds"),
    "params": ("params", "param", "parameters", "parameter"),
}
_TIMES = {"ns": 1, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ms": 10**6, "s": 10**9, "sec": 10**9}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tb": 10**12, "tib": 2**40}
_SI = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
_BYTE_METRICS = ("weights", "activations", "kernel-memory")
_METRICS = ("flops", "params", "latency", *_BYTE_METRICS)

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_UNIT = r"[A-Za-z\u00b5\u03bc ]*"
_PATTERN = re.compile(
    rf"\s*(?:(?P<name>[A-Za-z_-]+)\s*(?:<=|≤|<|=|:)\s*)?(?:(?P<low>{_NUMBER})\s*(?:-|–|\.\.)\s*)?"
    rf"(?P<high>{_NUMBER})\s*(?P<unit>{_UNIT})\s*"
)
_BETWEEN = re.compile(rf"\s*(?P<low>{_NUMBER}\s*{_UNIT})(?:<=|≤)\s*(?P<name>[A-Za-z_-]+)\s*(?:<=|≤)(?P<high>.+)")


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
        """Whether `cost` is within."""
        return self.at_least <= cost[self.metric] <= self.at_most

    def violation(self, cost: Cost) -> float:
        """By what share of the bound `cost` is outside; at most 0 when within."""
        value = cost[self.metric]
        below = 1 - value / self.at_least if self.at_least else -math.inf
        return max(value / self.at_most - 1, below)

    def __str__(self) -> str:
        bound = quantity(self.metric, self.at_most)
        return (
            f"{self.metric} <= {bound}"
            if not self.at_least
            else f"{quantity(self.metric, self.at_least)} <= {self.metric} <= {bound}"
        )


def parse_budget(text: str) -> Budget:
    """Reads one budget; units are case-insensitive but for the rule that a bare ``300M`` names no quantity.

    Raises:
        BudgetError: when the text cannot be read, says no quantity, is not positive or is an empty range.
    """
    if between := _BETWEEN.fullmatch(text):
        lower, upper = (parse_budget(f"{between['name']} <= {between[side]}") for side in ("low", "high"))
        if upper.at_least:
            raise BudgetError(f"{text!r} has two lower bounds. Write a range like 250-300MFLOPs.")
        return _checked(text, Budget(upper.metric, upper.at_most, lower.at_most))
    match = _PATTERN.fullmatch(text)
    if not match:
        raise BudgetError(f"cannot read budget {text!r}. {_EXAMPLE}")
    name = (match["name"] or "").lower().replace("_", "-")
    metric, factor = _unit(text, name, match["unit"].replace(" ", ""), match["high"])
    low = _number(match["low"], factor) if match["low"] else 0.0
    return _checked(text, Budget(metric, _number(match["high"], factor), low))


def parse_budgets(texts: Iterable[str]) -> tuple[Budget, ...]:
    """Reads several budgets, at most one a metric.

    Raises:
        BudgetError: also when two bound the same metric.
    """
    budgets: dict[str, Budget] = {}
    for text in texts:
        budget = parse_budget(text)
        if budget.metric in budgets:
            other = budgets[budget.metric]
            raise BudgetError(
                f"two budgets bound {budget.metric}: {other} and {budget}. Keep one, or write a range like 250-300MFLOPs."
            )
        budgets[budget.metric] = budget
    return tuple(budgets.values())


def within(cost: Cost, budgets: Sequence[Budget]) -> bool:
    """Whether all budgets hold."""
    return all(b.holds(cost) for b in budgets)


def exceeded(cost: Cost, budgets: Sequence[Budget]) -> str:
    """The budgets that do not hold, as a sentence; empty when all do."""
    return "; ".join(f"{quantity(b.metric, cost[b.metric])} is outside {b}" for b in budgets if not b.holds(cost))


def quantity(metric: str, value: float, digits: int = 3) -> str:
    """A value with its unit as a person reads it: ``300 MFLOPs``, ``2.31 Mparams``, ``4.1 ms``, ``3.2 MiB``."""
    # rounding comes first, so that 999,999 is 1 M and not 1000 k
    rounded = float(f"{value:.{digits - 1}e}")
    known = units(metric)
    scale, unit = next((u for u in known if rounded >= u[0]), known[-1])
    return f"{_significant(value / scale, digits)} {unit}"


def units(metric: str) -> tuple[tuple[float, str], ...]:
    """What values of a metric are divided by, and what they are called then; from the largest unit on."""
    if metric == "latency":
        return (1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")
    if metric in _BYTE_METRICS:
        return (2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")
    word = {"flops": "FLOPs", "params": "params"}.get(metric, metric)
    return (1e12, f"T{word}"), (1e9, f"G{word}"), (1e6, f"M{word}"), (1e3, f"k{word}"), (1.0, word)


def _significant(value: float, digits: int) -> str:
    if value == int(value) or abs(value) >= 10**digits:
        return f"{value:.0f}"
    rounded = float(f"{value:.{digits - 1}e}")
    return f"{rounded:.{max(0, digits - len(str(int(abs(rounded)))))}f}"


def _checked(text: str, budget: Budget) -> Budget:
    if not 0 < budget.at_most < math.inf:
        raise BudgetError(f"a budget must be more than zero and finite, not {text!r}. {_EXAMPLE}")
    if budget.at_least > budget.at_most:
        raise BudgetError(f"the range {text!r} is empty: its lower bound is above its upper. Write the smaller number first.")
    return budget


def _unit(text: str, name: str, unit: str, number: str) -> tuple[str, float]:
    low = unit.lower()
    metric = next((m for m, words in _WORDS.items() if name in words), name)
    if name and metric not in _METRICS:
        raise BudgetError(f"cannot read budget {text!r}: unknown quantity {name!r}. Allowed: {', '.join(_METRICS)}. {_EXAMPLE}")
    if unit in _TIMES and metric in ("", "latency"):
        return "latency", _TIMES[unit]
    if low in _BYTES and (low != "b" or metric) and metric in ("", *_BYTE_METRICS):
        return metric or "weights", _BYTES[low]
    if low in ("madds", "madd") and metric in ("", "flops"):
        return "flops", _SI["m"]  # the papers' word: 300MAdds are 300 million
    for kind, words in _WORDS.items():
        word = next((w for w in sorted(words, key=len, reverse=True) if low.endswith(w)), None)
        if word and low[: -len(word)] in _SI and metric in ("", kind):
            return kind, _SI[low[: -len(word)]]
    if low in _SI and not metric:
        raise BudgetError(f"{text!r} has no quantity: did you mean {number}{unit}FLOPs or {number}{unit}params?")
    if low in _SI and metric in _WORDS:
        return metric, _SI[low]
    raise BudgetError(f"cannot read budget {text!r}: unknown unit {unit!r}. {_EXAMPLE}")


def _number(text: str, factor: float) -> float:
    """Times the unit, without the last digits' binary noise: 2.3M is 2,300,000 and not 2,299,999.9999999995."""
    return float(f"{float(text.replace(',', '').replace('_', '')) * factor:.15g}")
