"""The interface between a search on a benchmark table and other tools: they request choices and get errors and costs.

This module needs only the standard library.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

STALE = 20
"""A search ends after this many requests per allowed evaluation, because it then no longer proposes anything new."""

MISSES = 10
"""Number of consecutive requests that do not count after which a random network is drawn, as in the searches of dcdnas."""


class Problem:
    """A problem that the driver sends as a line of JSON, and the answers to a tool's requests.

    In the plain variant, every requested network is evaluated and counts. In the filtered variant, networks over the budget are
    refused without an evaluation, and a network that was evaluated before is answered from memory. Neither counts, and a tool
    that requests nothing else may evaluate a random draw instead. In the stopped variant, a tool sees each epoch of a training
    and may stop it there; it has as many epochs as the evaluations of the other variants take.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.options: dict[str, list[str]] = given["options"]
        self.starts: list[dict[str, str]] = given["starts"]
        self.budget: float | None = given["budget"]
        self.trials: int = given["trials"]
        self.seed: int = given["seed"]
        self.filtered: bool = given["filtered"]
        self.worst: float = given["worst"]
        self.epochs: int = given["epochs"]
        self._curves: dict[str, list[float]] = given["curves"]
        self.spent, self.ended = 0, list[int]()
        self._networks: dict[str, list[Any]] = given["networks"]
        self.asked, self.counted = 0, list[str]()
        self._known, self._misses, self._rng = set[str](), 0, random.Random(self.seed)

    @property
    def over(self) -> bool:
        """Whether the search must end."""
        whole = len(self.counted) >= self.trials or self.spent >= self.trials * self.epochs
        return whole or self.asked >= STALE * self.trials

    def cost(self, choice: Mapping[str, str]) -> float:
        """Multiply-adds of a network, which are known without an evaluation."""
        return float(self._networks[self._key(choice)][1])

    def excess(self, choice: Mapping[str, str]) -> float:
        """How far a network exceeds the budget, as a fraction of it; at most 0 within the budget."""
        return self.cost(choice) / self.budget - 1 if self.budget else -1.0

    def evaluate(self, choice: Mapping[str, str]) -> tuple[float, float] | None:
        """The measured error and the cost; None if the network is refused."""
        self.asked += 1
        self._misses += 1
        key = self._key(choice)
        same, cost, error = self._networks[key]
        if self.filtered and self.excess(choice) > 0:
            return None
        known = self.filtered and same in self._known
        if not known and len(self.counted) < self.trials:
            self.counted.append(key)
            self._known.add(same)
            self._misses = 0
        return float(error), float(cost)

    def draw(self) -> dict[str, str] | None:
        """A random network that would count if the last `MISSES` requests did not count; otherwise None."""
        while self.filtered and self._misses >= MISSES:
            choice = {name: self._rng.choice(options) for name, options in self.options.items()}
            if self.excess(choice) <= 0 and self._networks[self._key(choice)][0] not in self._known:
                return choice
        return None

    def penalized(self, choice: Mapping[str, str]) -> tuple[float, float] | None:
        """Like `evaluate`, for tools without constraints: networks over the budget get the error of the table's worst network."""
        answer = self.evaluate(choice)
        return (self.worst, answer[1]) if answer and self.excess(choice) > 0 else answer

    def train(self, choice: Mapping[str, str]) -> Iterator[tuple[float, float]]:
        """Yields the error after each epoch and the cost, penalised as in `penalized`; a caller that stops iterating stops it."""
        self.asked += 1
        key = self._key(choice)
        same, cost, _ = self._networks[key]
        for error in self._curves[same]:
            self.spent += 1
            yield self.worst if self.excess(choice) > 0 else error, float(cost)
        self.counted.append(key)
        self.ended.append(self.spent)

    def _key(self, choice: Mapping[str, str]) -> str:
        return "".join(str(options.index(choice[name])) for name, options in self.options.items())


def contest(search: Callable[[Problem], None]) -> None:
    """Runs a search for each line of standard input; prints a line with the evaluated networks in order and the request time."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        problem = Problem(json.loads(line))
        begun = time.process_time()
        search(problem)
        took = 1e3 * (time.process_time() - begun) / max(problem.asked, 1)
        answer = {"networks": problem.counted, "ended": problem.ended, "asked": problem.asked, "ms": round(took, 2)}
        print(json.dumps(answer), file=answers, flush=True)
