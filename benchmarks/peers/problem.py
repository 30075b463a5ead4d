"""A search on a table as other tools see it: choices to ask for, errors and costs to be told. Needs Python alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

STALE = 20
"""A search ends when it has asked so many times for every evaluation that it may make: it proposes nothing new any more."""


class Problem:
    """What the driver writes to standard input, and how a contestant is answered.

    In the plain variant everything that is asked for is evaluated and counts. In the filtered one, networks over the budget are
    refused unevaluated, and one that was evaluated before is answered from memory; neither counts.
    """

    def __init__(self) -> None:
        given = json.load(sys.stdin)
        self.options: dict[str, list[str]] = given["options"]
        self.starts: list[dict[str, str]] = given["starts"]
        self.budget: float | None = given["budget"]
        self.trials: int = given["trials"]
        self.seed: int = given["seed"]
        self.filtered: bool = given["filtered"]
        self._networks: dict[str, list[Any]] = given["networks"]
        self._asked, self._counted = 0, list[str]()

    @property
    def over(self) -> bool:
        """Whether nothing more is to be asked."""
        return len(self._counted) >= self.trials or self._asked >= STALE * self.trials

    def cost(self, choice: Mapping[str, str]) -> float:
        """Multiply-adds, which are known without an evaluation."""
        return float(self._networks[self._key(choice)][1])

    def excess(self, choice: Mapping[str, str]) -> float:
        """How far over the budget, as a share of it; at most 0 within."""
        return self.cost(choice) / self.budget - 1 if self.budget else -1.0

    def evaluate(self, choice: Mapping[str, str]) -> tuple[float, float] | None:
        """The error that is read, and the cost; None where the network is refused."""
        self._asked += 1
        key = self._key(choice)
        same, cost, reading = self._networks[key]
        if self.filtered and self.excess(choice) > 0:
            return None
        known = self.filtered and any(self._networks[k][0] == same for k in self._counted)
        if not known and len(self._counted) < self.trials:
            self._counted.append(key)
        return 1 - reading, float(cost)

    def end(self) -> None:
        """Writes what was evaluated, in order."""
        print(json.dumps(self._counted))

    def _key(self, choice: Mapping[str, str]) -> str:
        return "".join(str(options.index(choice[name])) for name, options in self.options.items())
