"""Where the slots of a space's networks are: the geometry of each, by the decisions that it depends on.

A slot depends on the decisions about the whole network, about its stage and about its block, and on no other; so a few hundred
networks hold every geometry of a space with 10^20 of them. Where a backbone is wired otherwise, `places_of` says so.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from dcdnas.core.geometry import Setting
from dcdnas.networks import Slot
from dcdnas.space.parts import Decisions, Site
from dcdnas.space.search_space import SearchSpace

NETWORKS = 5_000
"""Networks whose slots are listed, at most."""

CHECKS = 24
"""Random networks that must have the slots which the table gives them."""


@dataclass(frozen=True, eq=False)
class Places:
    """The slots of a space.

    Args:
        units: the network, stage or block that each structural decision is about: ``""``, ``stage2`` or ``stage2.block1``.
        depends: slot name -> the decisions that its geometry depends on.
        slots: slot name -> their options -> the slot; nothing where the network has no such slot.
        sites: likewise, of the searched slots, as places for an operator.
    """

    units: Mapping[str, str]
    depends: Mapping[str, tuple[str, ...]]
    slots: Mapping[str, Mapping[tuple[Setting, ...], Slot]]
    sites: Mapping[str, Mapping[tuple[Setting, ...], Site]]

    def slot(self, name: str, decisions: Decisions) -> Slot | None:
        """The slot as the decisions make it; None where they leave it out."""
        return self.slots[name].get(self.options(name, decisions))

    def site(self, name: str, decisions: Decisions) -> Site | None:
        """The slot as a place for an operator; None where the decisions leave it out, or it is not searched."""
        return self.sites[name].get(self.options(name, decisions)) if name in self.sites else None

    def options(self, name: str, decisions: Decisions) -> tuple[Setting, ...]:
        """What the decisions that a slot depends on came to."""
        return tuple([decisions[d] for d in self.depends[name]])


@lru_cache(maxsize=16)
def places_of(space: SearchSpace) -> Places | None:
    """The table of a space; None when it would be too large or its networks do not come apart into stages and blocks."""
    if space.fit is not None or any(group.shares_weights for group in space.groups):  # what depends on every layer
        return None
    units = {name: common_unit(v.unit for v in space.variables if v.decision == name) for name in _options(space)}
    if _networks(space, units) > NETWORKS:
        return None
    depends: dict[str, tuple[str, ...]] = {}
    slots: dict[str, dict[tuple[Setting, ...], Slot]] = {}
    sites: dict[str, dict[tuple[Setting, ...], Site]] = {}
    found = Places(units, depends, slots, sites)
    for decisions in _covering(space, units):
        of_network = slots_of_outcome(space, decisions)
        for slot in of_network:
            if slot.name not in depends:
                block = slot.name.rpartition(".")[0]
                depends[slot.name] = tuple(name for name, unit in units.items() if holds(unit, block))
            slots.setdefault(slot.name, {})[found.options(slot.name, decisions)] = slot
        for name, site in space.sites(of_network).items():
            sites.setdefault(name, {})[found.options(name, decisions)] = site
    return found if _agrees(space, found) else None


def slots_of_outcome(space: SearchSpace, decisions: Decisions) -> tuple[Slot, ...]:
    """All slots of the network that some decisions make."""
    cls = space.backbone
    settings, shape = space.network_settings(decisions)
    return cls.slots(shape, space.classes, cls.complete(settings))


def common_unit(units: Iterable[str]) -> str:
    """The block, stage or network that holds all of some units."""
    parts = [unit.split(".") if unit else [] for unit in units]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared)


def holds(unit: str, block: str) -> bool:
    """Whether a unit is the block itself, or the stage or network that it is part of."""
    return not unit or block == unit or block.startswith(f"{unit}.")


def _options(space: SearchSpace) -> dict[str, tuple[Setting, ...]]:
    structural = {v.decision for v in space.variables if v.decision}
    return {d.name: d.options for d in space.decisions if d.name in structural}


def _networks(space: SearchSpace, units: Mapping[str, str]) -> int:
    sizes: dict[str, int] = {}
    for name, options in _options(space).items():
        sizes[units[name]] = sizes.get(units[name], 1) * len(options)
    by_level = [[size for unit, size in sizes.items() if _level(unit) == level] for level in range(3)]
    return math.prod(max(level, default=1) for level in by_level)


def _covering(space: SearchSpace, units: Mapping[str, str]) -> Iterator[dict[str, Setting]]:
    """Outcomes that hold every combination of the decisions about the network, any one stage and any one block of it."""
    options = _options(space)
    by_unit: dict[str, list[str]] = {}
    for name, unit in units.items():
        by_unit.setdefault(unit, []).append(name)
    levels: list[list[list[dict[str, Setting]]]] = [[], [], []]
    for unit, names in by_unit.items():
        values = [dict(zip(names, combination, strict=True)) for combination in product(*(options[n] for n in names))]
        levels[_level(unit)].append(values)
    for combination in product(*(_side_by_side(level) for level in levels)):
        yield {name: value for part in combination for name, value in part.items()}


def _side_by_side(units: Sequence[Sequence[dict[str, Setting]]]) -> list[dict[str, Setting]]:
    """Goes through the combinations of all units of a level at the same time."""
    longest = max(map(len, units), default=1)
    return [{name: value for unit in units for name, value in unit[i % len(unit)].items()} for i in range(longest)]


def _level(unit: str) -> int:
    return 0 if not unit else 1 + min(1, unit.count("."))


def _agrees(space: SearchSpace, places: Places) -> bool:
    rng = random.Random(0)
    for _ in range(CHECKS):
        decisions = {name: rng.choice(options) for name, options in _options(space).items()}
        slots = slots_of_outcome(space, decisions)
        listed = {s.name: s for name in places.slots if (s := places.slot(name, decisions)) is not None}
        sites = {name: site for name in places.slots if (site := places.site(name, decisions)) is not None}
        if listed != {s.name: s for s in slots} or sites != space.sites(slots):
            return False
    return True
