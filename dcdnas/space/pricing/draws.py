"""Random draws of networks within a budget, exactly distributed and with few rejections; the share of a space within it.

Costs are rounded down to bins, and the chances of the bins are convolved part by part up the space's tree. A draw chooses a bin
within the budget, then descends the tree and divides the bin among the parts. Because costs are rounded down, some draws are
slightly over the budget; the caller prices each draw exactly and rejects these. Therefore the networks within the budget keep
exactly their chances, and the share of the space within it is known up to the few bins at the budget's edge.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Setting
from dcdnas.space.pricing.tree import Chances, Floats, Node, Numbers, Path, Tree, group_key

BINS = 1024
"""Number of bins for the costs from zero to the budget's upper bound."""

JOINT = 4096
"""Maximum number of combined outcomes of free groups that are listed together, so that their cost is rounded once."""


@dataclass(frozen=True)
class Joint:
    """Every combination of the outcomes of some free groups, each with its chance and the bin of its cost."""

    groups: tuple[int, ...]
    shape: tuple[int, ...]
    bins: NDArray[np.int64]
    weights: Floats

    @cached_property
    def chances(self) -> Floats:
        """Chance of each bin."""
        return np.bincount(self.bins, self.weights, BINS + 1).astype(np.float64)

    def choose(self, bin: int, rng: random.Random) -> Path:
        """Draws one of the combinations in a bin."""
        found = np.flatnonzero(self.bins == bin)
        numbers = np.unravel_index(found[_pick(self.weights[found], rng)], self.shape) if self.groups else ()
        return {group_key(g): int(n) for g, n in zip(self.groups, numbers, strict=True)}


@dataclass(frozen=True)
class Term:
    """One assignment at a node: its chance, its independent parts, and the chances of the bins of the first 1, 2, ... parts."""

    path: Path
    weight: float
    parts: tuple[Joint | Table, ...]
    sums: tuple[Floats, ...]

    def choose(self, bin: int, rng: random.Random) -> Path:
        """Divides a bin among the parts, and draws in each."""
        path = dict(self.path)
        for part, (before, _) in zip(self.parts[:0:-1], list(pairwise(self.sums))[::-1], strict=True):
            ways = before[: bin + 1] * part.chances[bin::-1]
            rest = _pick(ways, rng)
            path |= part.choose(bin - rest, rng)
            bin = rest
        return path | self.parts[0].choose(bin, rng)


@dataclass(frozen=True)
class Table:
    """All terms of a node, given the path to it."""

    terms: tuple[Term, ...]

    @cached_property
    def chances(self) -> Floats:
        """Chance of each bin."""
        return sum((term.weight * term.sums[-1] for term in self.terms), np.zeros(BINS + 1))

    @cached_property
    def roundings(self) -> int:
        """How often a cost below the node is rounded down, at most."""
        return max((sum(1 if isinstance(p, Joint) else p.roundings for p in t.parts) for t in self.terms), default=0)

    def choose(self, bin: int, rng: random.Random) -> Path:
        """Draws a path below the node that leads to a network in a bin."""
        term = self.terms[_pick(np.array([t.weight * t.sums[-1][bin] for t in self.terms]), rng)]
        return term.choose(bin, rng)


class Draws:
    """Draws outcomes within one budget or slightly outside it; see the module's docstring.

    Args:
        tree: of the space, with the budget's metric.
        budget: on that metric.
        chances: of the networks, see `Chances`.
    """

    def __init__(self, tree: Tree, budget: Budget, chances: Chances = "operators") -> None:
        self.tree, self.chances = tree, chances
        self.step = budget.at_most / BINS
        self.table = self._table(tree.root, {})
        self.all = mass(tree, tree.root, {}, chances)
        masses = self.table.chances
        low = budget.at_least / self.step
        surely = np.arange(BINS + 1) + self.table.roundings <= BINS
        self._first = max(0, math.floor(low) - self.table.roundings - 1)
        self._within = np.cumsum(masses[self._first :])
        self.at_most = float(self._within[-1])
        self.at_least = float(masses[surely & (np.arange(BINS + 1) >= low)].sum())

    @property
    def bounds(self) -> tuple[float, float]:
        """Certain lower and upper bound of the share of the space that is within the budget."""
        return self.at_least / self.all, min(1.0, self.at_most / self.all)

    def choose(self, rng: random.Random) -> dict[str, Setting]:
        """Draws the decisions of a random network that is within the budget, or outside it by a few bins."""
        bin = self._first + min(int(np.searchsorted(self._within, rng.random() * self.at_most, "right")), len(self._within) - 1)
        return self.tree.decisions(self.table.choose(bin, rng))

    def _table(self, node: Node, path: Path) -> Table:
        terms = (self._term(node, here, weight) for here, weight in self.tree.assignments(node, path, self.chances))
        return Table(tuple(term for term in terms if term is not None))

    def _term(self, node: Node, path: Path, weight: float) -> Term | None:
        fixed = self.tree.fixed(node, path)
        parts: list[Joint | Table] = list(self._joints(node.free, path, fixed))
        for child in node.children:
            parts.append(self._table(child, path))
            if not parts[-1].chances.any():
                return None
        sums = [parts[0].chances]
        for part in parts[1:]:
            sums.append(np.convolve(sums[-1], part.chances)[: BINS + 1])
        return Term(path, weight, tuple(parts), tuple(sums)) if sums[-1].any() else None

    def _joints(self, free: Sequence[int], path: Path, fixed: float) -> list[Joint]:
        """Lists the outcomes of the free groups, as many groups together as possible; the first list includes the fixed cost."""
        lists: list[tuple[list[int], Numbers, Floats]] = [([], np.array([fixed]), np.ones(1))]
        for g in free:
            costs, weights = self.tree.group(g, path, self.chances)
            groups, sums, products = lists[-1]
            if len(sums) * len(costs) > JOINT:
                lists.append(([g], costs, weights))
            else:
                joint = np.add.outer(sums, costs).ravel(), np.multiply.outer(products, weights).ravel()
                lists[-1] = ([*groups, g], *joint)
        return [self._joint(*entry) for entry in lists]

    def _joint(self, groups: Sequence[int], costs: Numbers, weights: Floats) -> Joint:
        # slightly less than the quotient, so that a cost exactly at the budget is not rounded up beyond it
        bins = np.maximum(0, np.floor(costs / self.step - 1e-9)).astype(np.int64)
        inside = bins <= BINS
        shape = tuple(len(self.tree.outcomes[g]) for g in groups)
        return Joint(tuple(groups), shape, np.where(inside, bins, 0), np.where(inside, weights, 0.0))


def mass(tree: Tree, node: Node, path: Path, chances: Chances) -> float:
    """The total chance of all networks: 1 (if no rule forbids any), or with ``networks`` their number."""
    total = 0.0
    for here, weight in tree.assignments(node, path, chances):
        for g in node.free:
            weight *= float(tree.group(g, here, chances)[1].sum())
        for child in node.children:
            weight *= mass(tree, child, here, chances)
        total += weight
    return total


def _pick(weights: Floats, rng: random.Random) -> int:
    """Draws an index with probability proportional to its weight."""
    sums = np.cumsum(weights)
    return min(int(np.searchsorted(sums, rng.random() * sums[-1], "right")), int(np.flatnonzero(weights)[-1]))
