"""A search on a table as other tools see it: choices to ask for, errors and costs to be told. Needs Python alone."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

STALE = 20
"""A search ends when it has asked so many times for every evaluation that it may make: it proposes nothing new any more."""

MISSES = 10
"""Asks in a row that do not count, after which a network is drawn, as in the searches of dcdnas."""


class Problem:
    """What the driver writes in a line, and how a contestant is answered.

    In the plain variant everything that is asked for is evaluated and counts. In the filtered one, networks over the budget are
    refused unevaluated, and one that was evaluated before is answered from memory; neither counts, and a tool that asks for
    nothing else may take a draw instead. In the stopped variant a tool sees each epoch of a training, may stop it there, and has
    as many epochs as the evaluations of the others take.
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
        """Whether nothing more is to be asked."""
        whole = len(self.counted) >= self.trials or self.spent >= self.trials * self.epochs
        return whole or self.asked >= STALE * self.trials

    def cost(self, choice: Mapping[str, str]) -> float:
        """Multiply-adds, which are known without an evaluation."""
        return float(self._networks[self._key(choice)][1])

    def excess(self, choice: Mapping[str, str]) -> float:
        """How far over the budget, as a share of it; at most 0 within."""
        return self.cost(choice) / self.budget - 1 if self.budget else -1.0

    def evaluate(self, choice: Mapping[str, str]) -> tuple[float, float] | None:
        """The error that is read, and the cost; None where the network is refused."""
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
        """A random network that would count, where the last asks did not; else None."""
        while self.filtered and self._misses >= MISSES:
            choice = {name: self._rng.choice(options) for name, options in self.options.items()}
            if self.excess(choice) <= 0 and self._networks[self._key(choice)][0] not in self._known:
                return choice
        return None

    def penalized(self, choice: Mapping[str, str]) -> tuple[float, float] | None:
        """The same to a tool that knows no constraints: what is over the budget reads as the worst network of the table."""
        answer = self.evaluate(choice)
        return (self.worst, answer[1]) if answer and self.excess(choice) > 0 else answer

    def train(self, choice: Mapping[str, str]) -> Iterator[tuple[float, float]]:
        """The error after each epoch and the cost, as to a tool that knows no constraints; whoever wants no more has stopped."""
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
    """Searches for each line of standard input, and answers in a line what was evaluated, in order, and the time of an ask."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        problem = Problem(json.loads(line))
        begun = time.process_time()
        search(problem)
        took = 1e3 * (time.process_time() - begun) / max(problem.asked, 1)
        answer = {"networks": problem.counted, "ended": problem.ended, "asked": problem.asked, "ms": round(took, 2)}
        print(json.dumps(answer), file=answers, flush=True)
