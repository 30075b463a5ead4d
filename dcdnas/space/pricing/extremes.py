"""The cheapest and the most expensive network of a space, of all and of those with a given option; exact, part by part."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from dcdnas.core.geometry import Setting
from dcdnas.space.pricing.tree import Node, Path, Tree, group_key

Best = dict[tuple[str, Setting], float]
"""(decision, option) -> the lowest cost of the networks that use the option."""


def extreme(tree: Tree, largest: bool, node: Node | None = None, path: Path | None = None) -> tuple[float, Path]:
    """Returns cost and path of the cheapest or most expensive network below a node; the cost is infinite where there is none."""
    node, sign = node or tree.root, -1 if largest else 1
    best: tuple[float, Path] = (math.inf, {})
    for here, _ in tree.assignments(node, path or {}, "operators"):
        total, found = sign * float(tree.fixed(node, here)), dict(here)
        for g in node.free:
            costs = _signed(tree, g, here, sign)
            total += float(costs.min())
            found[group_key(g)] = int(costs.argmin())
        for child in node.children:
            cost, below = extreme(tree, largest, child, here)
            total, found = total + sign * cost, found | below
        if total < best[0]:
            best = (total, found)
    return sign * best[0], best[1]


def extremes_by_option(tree: Tree, largest: bool) -> Best:
    """Returns the lowest (or highest) cost of the networks that use an option, for every option of every decision."""
    sign = -1 if largest else 1
    return {key: sign * cost for key, cost in _by_option(tree, tree.root, {}, sign)[1].items()}


def _by_option(tree: Tree, node: Node, path: Path, sign: int) -> tuple[float, Best]:
    least, best = math.inf, Best()
    for here, _ in tree.assignments(node, path, "operators"):
        parts = [_of_group(tree, g, here, sign) for g in node.free]
        parts += [_by_option(tree, child, here, sign) for child in node.children]
        total = sign * float(tree.fixed(node, here)) + sum(cost for cost, _ in parts)
        least = min(least, total)
        for key in _decided(tree, node, here):
            best[key] = min(best.get(key, math.inf), total)
        for own, options in parts:
            for key, cost in options.items():
                best[key] = min(best.get(key, math.inf), total - own + cost)
    return least, best


def _of_group(tree: Tree, g: int, path: Path, sign: int) -> tuple[float, Best]:
    costs, best = _signed(tree, g, path, sign), Best()
    if tree.exists(g, path):
        for cost, outcome in zip(costs.tolist(), tree.outcomes[g], strict=True):
            for key in outcome.items():
                best[key] = min(best.get(key, math.inf), cost)
    return float(costs.min()), best


def _decided(tree: Tree, node: Node, path: Path) -> Iterator[tuple[str, Setting]]:
    """Yields (decision, option) for the decisions that are made at a node and exist there."""
    for d in node.decisions:
        if not d.parent or path[d.parent] in d.when:
            yield d.name, path[d.name]
    for g in node.tried:
        if tree.exists(g, path):
            yield from tree.outcomes[g][int(path[group_key(g)])].items()


def _signed(tree: Tree, g: int, path: Path, sign: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    costs, weights = tree.group(g, path, "operators")
    return np.where(weights > 0, sign * costs.astype(float), math.inf)
