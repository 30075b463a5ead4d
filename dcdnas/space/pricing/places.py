"""The slots of a space's networks: the geometry of each, by the decisions that it depends on.

A slot depends only on the decisions about the whole network, about its stage and about its block. Therefore a few hundred
networks contain every geometry of a space of 10^20 networks. Where this does not hold for a backbone, `places_of` returns None.
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
"""Maximum number of networks whose slots are listed."""

CHECKS = 24
"""Number of random networks on which the table is verified."""


@dataclass(frozen=True, eq=False)
class Places:
    """The slots of a space.

    Args:
        units: the network, stage or block that each structural decision is about: ``""``, ``stage2`` or ``stage2.block1``.
        depends: slot name -> the decisions that its geometry depends on.
        slots: slot name -> options of those decisions -> the slot; no entry where the network has no such slot.
        sites: the same for the searched slots, as sites for an operator.
    """

    units: Mapping[str, str]
    depends: Mapping[str, tuple[str, ...]]
    slots: Mapping[str, Mapping[tuple[Setting, ...], Slot]]
    sites: Mapping[str, Mapping[tuple[Setting, ...], Site]]

    def slot(self, name: str, decisions: Decisions) -> Slot | None:
        """Returns the slot under the decisions; None where the network has no such slot."""
        return self.slots[name].get(self.options(name, decisions))

    def site(self, name: str, decisions: Decisions) -> Site | None:
        """Returns the slot as a site for an operator; None where the network has no such slot, or it is not searched."""
        return self.sites[name].get(self.options(name, decisions)) if name in self.sites else None

    def options(self, name: str, decisions: Decisions) -> tuple[Setting, ...]:
        """Returns the options of the decisions that a slot depends on."""
        return tuple([decisions[d] for d in self.depends[name]])


@lru_cache(maxsize=16)
def places_of(space: SearchSpace) -> Places | None:
    """Returns the table of a space; None if it would be too large, or the networks do not separate into stages and blocks."""
    if space.fit is not None or any(group.shares_weights for group in space.groups):  # both depend on every layer
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
    """Returns all slots of the network that the decisions describe."""
    cls = space.backbone
    settings, shape = space.network_settings(decisions)
    return cls.slots(shape, space.classes, cls.complete(settings))


def common_unit(units: Iterable[str]) -> str:
    """Returns the smallest block, stage or network that contains all of the units."""
    parts = [unit.split(".") if unit else [] for unit in units]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared)


def holds(unit: str, block: str) -> bool:
    """Whether a unit is the block itself, its stage or the network."""
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
    """Yields outcomes that contain every combination of the decisions about the network, any one stage and any block of it."""
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
    """Enumerates the combinations of all units of a level in parallel, so that each one occurs at least once."""
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
