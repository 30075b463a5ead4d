"""A space as a tree of parts whose costs are independent: the network, its stages, their blocks.

Once the decisions about the network are made, no stage's cost depends on another's, and within a stage the same holds for
groups and blocks. Therefore the cheapest network, the number of networks and a uniform draw within a budget are computed part by
part, exactly, although the networks are far too many to list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.geometry import Setting
from dcdnas.cost import metrics, slot_price
from dcdnas.networks import STATIC
from dcdnas.space.parts import Decision, Group, Settings, Site
from dcdnas.space.pricing.places import Places, common_unit, holds, places_of
from dcdnas.space.search_space import SearchSpace, layer_choice

Chances = Literal["operators", "networks"]
"""``operators``: each decision takes its options with equal probability, the operator first, then its settings.
``networks``: each network has equal probability, however many outcomes lead to it."""

Path = dict[str, Setting]
"""The decisions made so far: structural ones by name, groups by `group_key` with the number of their outcome."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64] | NDArray[np.float64]
"""Costs: integers if the metric's values are, so that their sums are exact."""

CONTEXTS = 5_000
"""Maximum number of combinations of the decisions about the whole network."""


@dataclass(frozen=True)
class Node:
    """A node of the tree: the network, a stage or a block.

    Args:
        decisions: structural decisions, all combinations of which are enumerated.
        tried: groups whose outcomes are enumerated too, because costs below the node depend on them.
        free: groups that are independent of each other and of the children, given what is decided here and above.
        slots: whose cost is known here, once the `tried` groups are decided.
        children: nodes that are independent of each other, given what is decided here and above.
    """

    decisions: tuple[Decision, ...]
    tried: tuple[int, ...]
    free: tuple[int, ...]
    slots: tuple[str, ...]
    children: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Tree:
    """A space with the exact cost of each part in one metric.

    Args:
        space: that separates into independent parts.
        places: of the space.
        metric: name of an additive metric.
    """

    space: SearchSpace
    places: Places
    metric: str

    @cached_property
    def outcomes(self) -> tuple[tuple[dict[str, Setting], ...], ...]:
        """For each group, all outcomes of its decisions."""
        return tuple(group.outcomes for group in self.space.groups)

    @cached_property
    def root(self) -> Node:
        """The node of the whole network."""
        return self._node("")

    def assignments(self, node: Node, path: Path, chances: Chances) -> Iterator[tuple[Path, float]]:
        """Yields the possible paths through a node, given the path to it, each with its chance."""
        options = [d.options for d in node.decisions]
        tried = [range(len(self.outcomes[g])) for g in node.tried]
        for values in product(*options, *tried):
            here = path | dict(zip([d.name for d in node.decisions], values, strict=False))
            here |= {group_key(g): o for g, o in zip(node.tried, values[len(options) :], strict=True)}
            weight = 1.0
            for d in node.decisions:
                weight *= self._chance(d, here, chances)
            for g in node.tried:
                if weight:
                    weight *= float(self.group(g, here, chances)[1][int(here[group_key(g)])])
            if weight and not (node is self.root and self.space.forbidden and self.forbids(here)):
                yield here, weight

    def fixed(self, node: Node, path: Path) -> float:
        """Returns the cost of the node's own slots."""
        total: float = 0
        for name in node.slots:
            slot, site = self.places.slot(name, path), self.places.site(name, path)
            if site is not None:
                g = self._group_of[name]
                chosen = self.space.groups[g].choose(self.outcomes[g][int(path[group_key(g)])])
                total += _prices(self, chosen, (site,))[0][1]
            elif slot is not None:
                total += slot_price(slot, STATIC, (self.metric,), self.space.prices)[0]
        return total

    def group(self, g: int, path: Path, chances: Chances) -> tuple[Numbers, Floats]:
        """Returns cost and chance of each outcome of a group; with ``networks``, only the first of equal outcomes has a chance.

        The cost is the sum over the group's sites under the path, and outcomes are equal when they build the same layers there.
        For an open group, whose sites depend on decisions below its node, both refer to all sites that the group may have.
        """
        exists = self.exists(g, path)
        if g not in self._open:
            sites = (self.places.site(name, path) for name in self.space.groups[g].slots)
            return _group_table(self, g, tuple(s for s in sites if s is not None), exists, chances)
        return _open_group_table(self, g, exists, chances)

    def copies(self, decisions: Mapping[str, Setting]) -> int:
        """Returns how many equally likely paths lead to the network of the decisions, with the chances of ``networks``."""
        copies, frame = 1, self.space.frame(decisions)
        for g in self._open:
            weights = _open_group_table(self, g, True, "networks")[1]
            layers = frame.choices(g, *self.space.groups[g].choose(decisions))
            choices = (self.space.groups[g].choose(o) for o, w in zip(self.outcomes[g], weights, strict=True) if w)
            copies *= sum(frame.choices(g, *choice) == layers for choice in choices)
        return copies

    def decisions(self, path: Path) -> dict[str, Setting]:
        """Returns the decisions of a complete path; those that do not exist in it are left out."""
        chosen = {name: value for name, value in path.items() if not name.startswith(_GROUP)}
        for g, outcomes in enumerate(self.outcomes):
            chosen |= outcomes[int(path[group_key(g)])]
        return self.space.decide(lambda name, options: chosen.get(name, options[0]))

    def forbids(self, path: Path) -> bool:
        """Whether a rule forbids the path to the root's children; all decisions that rules name are made at the root."""
        chosen = {n: v for n, v in path.items() if not n.startswith(_GROUP)}
        for g in self.root.tried:
            chosen |= self.outcomes[g][int(path[group_key(g)])] if self.exists(g, path) else {}
        known = {d.name: d for d in self.root.decisions}
        existing = {
            n: v for n, v in chosen.items() if n not in known or not known[n].parent or chosen[known[n].parent] in known[n].when
        }
        return bool(self.space.forbidden) and bool(self.space.forbids(existing))

    # building

    def _node(self, unit: str) -> Node:
        """Builds the node of a unit; blocks without own decisions belong to their stage."""
        mine = tuple(d for d in self.space.decisions if self._unit_of.get(d.name) == unit)
        inner = [u for u in self._nodes if u and u != unit and (not unit or holds(unit, u))]
        children = tuple(self._node(u) for u in sorted(inner) if u.count(".") == (1 if unit else 0))
        groups = [g for g, home in enumerate(self._homes) if home == unit]
        open_ = {name for g in self._free for name in self.space.groups[g].slots}
        slots = tuple(n for n in self.places.slots if self._home(n.rpartition(".")[0]) == unit and n not in open_)
        free = tuple(g for g in groups if g in self._free)
        return Node(mine, tuple(g for g in groups if g not in self._free), free, slots, children)

    @cached_property
    def _free(self) -> set[int]:
        """Groups that no rule names and whose slots depend on nothing below their own node."""
        known = set(range(len(self.outcomes))) - self._open - self._ruled_groups
        parents = {g: {d.parent for d in self.space.decisions if self._decider.get(d.name) == g} for g in known}
        return {g for g in known if parents[g] & set(self._unit_of) <= self._above(self._homes[g])}

    @cached_property
    def _open(self) -> set[int]:
        """Groups whose slots depend on decisions made below the group's node."""
        needs = [{d for s in group.slots for d in self.places.depends.get(s, ())} for group in self.space.groups]
        return {g for g, home in enumerate(self._homes) if not needs[g] <= self._above(home)}

    def _above(self, home: str) -> set[str]:
        return {name for name, unit in self._unit_of.items() if holds(unit, home)}

    @cached_property
    def _ruled(self) -> set[str]:
        """Decisions that a rule names, and all of their ancestors; they are made first, at the root."""
        ruled = {name for rule in self.space.forbidden for names, _ in rule.conditions for name in names}
        parents = {d.name: d.parent for d in self.space.decisions}
        while more := {parents[name] for name in ruled} - ruled - {""}:
            ruled |= more
        return ruled

    @cached_property
    def _ruled_groups(self) -> set[int]:
        return {self._decider[name] for name in self._ruled if name in self._decider}

    @cached_property
    def _unit_of(self) -> dict[str, str]:
        """The unit at which each structural decision is made."""
        first = set(self._ruled)
        parents = {d.name: d.parent for d in self.space.decisions}
        for g in self._ruled_groups:
            first |= {parents[n] for n in parents if self._decider.get(n) == g}
        return {name: "" if name in first else unit for name, unit in self.places.units.items()}

    @cached_property
    def _nodes(self) -> set[str]:
        stages = {name.split(".")[0] for name in self.places.slots if "." in name}
        return {"", *stages, *self._unit_of.values()}

    def _home(self, block: str) -> str:
        """The smallest unit with a node that contains a block."""
        return max((unit for unit in self._nodes if holds(unit, block)), key=len)

    @cached_property
    def _homes(self) -> tuple[str, ...]:
        """The unit at which each group is decided."""
        units = [common_unit(slot.rpartition(".")[0] for slot in group.slots) for group in self.space.groups]
        return tuple("" if g in self._ruled_groups else self._home(unit) for g, unit in enumerate(units))

    @cached_property
    def _group_of(self) -> dict[str, int]:
        return {slot: g for g, group in enumerate(self.space.groups) for slot in group.slots}

    @cached_property
    def _decider(self) -> dict[str, int]:
        """Maps each decision about an operator or its settings to its group."""
        return {name: g for g, outcomes in enumerate(self.outcomes) for outcome in outcomes for name in outcome}

    @cached_property
    def _existence(self) -> tuple[tuple[str, tuple[Setting, ...]], ...]:
        """For each group, the depth decision and its options under which the group's decisions exist."""
        known = {d.name: d for d in self.space.decisions}
        found = []
        for g, group in enumerate(self.space.groups):
            names = [n for n, decider in self._decider.items() if decider == g and n in known]
            top = next((known[n] for n in names if known[n].parent != group.operator), None)
            found.append((top.parent, top.when) if top else ("", ()))
        return tuple(found)

    # pricing

    def sites(self, g: int) -> tuple[Site, ...]:
        """Returns all sites that a group may have."""
        return tuple(dict.fromkeys(s for name in self.space.groups[g].slots for s in self.places.sites.get(name, {}).values()))

    def exists(self, g: int, path: Path) -> bool:
        """Whether the group's decisions exist under the path."""
        parent, when = self._existence[g]
        return not parent or path[parent] in when

    def _chance(self, d: Decision, path: Path, chances: Chances) -> float:
        if d.parent and path[d.parent] not in d.when:
            return float(path[d.name] == d.options[0])
        return 1 / len(d.options) if chances == "operators" else 1.0


@lru_cache(maxsize=200_000)
def _group_table(tree: Tree, g: int, sites: tuple[Site, ...], exists: bool, chances: Chances) -> tuple[Numbers, Floats]:
    """Returns the cost of each outcome, summed over the sites, and its chance."""
    group = tree.space.groups[g]
    costs, weights, seen = [], [], set()
    for number, outcome in enumerate(tree.outcomes[g]):
        rows = _prices(tree, group.choose(outcome), sites)
        layers = tuple(choice for choice, _ in rows)
        costs.append(sum(cost for _, cost in rows))
        if chances == "operators":
            weights.append(_tree_chance(group, outcome) if exists else float(number == 0))
        else:
            weights.append(float(layers not in seen))
        seen.add(layers)
    return np.array(costs, dtype=metrics[tree.metric].dtype), np.array(weights)


@lru_cache(maxsize=4_000)
def _open_group_table(tree: Tree, g: int, exists: bool, chances: Chances) -> tuple[Numbers, Floats]:
    """As `_group_table`, at all sites of an open group; cached by group, because hashing its many sites would take longest."""
    return _group_table(tree, g, tree.sites(g), exists, chances)


def _prices(tree: Tree, chosen: tuple[str, Settings], sites: tuple[Site, ...]) -> list[tuple[LayerChoice, float]]:
    rows = []
    for site in sites:
        choice = layer_choice(*chosen, site)
        rows.append((choice, slot_price(site.slot, choice, (tree.metric,), tree.space.prices)[0]))
    return rows


def _tree_chance(group: Group, outcome: Mapping[str, Setting]) -> float:
    settings = next(c.settings for c in group.candidates if c.operator == outcome[group.operator])
    chance = 1 / len(group.candidates)
    for _, options in settings:
        chance /= len(options)
    return chance


_GROUP = "group "


def group_key(g: int) -> str:
    """Returns the key of a group in a path."""
    return f"{_GROUP}{g}"


@lru_cache(maxsize=32)
def tree_of(space: SearchSpace, metric: str) -> Tree | None:
    """Returns the tree of a space; None if it does not separate (far enough), or the metric is not a sum over slots."""
    places = places_of(space) if metrics[metric].additive else None
    if places is None:
        return None
    tree = Tree(space, places, metric)
    contexts = 1
    for decision in tree.root.decisions:
        contexts *= len(decision.options)
    for g in tree.root.tried:
        contexts *= len(tree.outcomes[g])
    return tree if contexts <= CONTEXTS else None
