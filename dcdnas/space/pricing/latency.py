"""The latency table of a space: a time for every place that its networks can have, and a correction fitted on some of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost.latency import at_work
from dcdnas.cost.latency.device import Device
from dcdnas.cost.latency.fit import LEAST, Correction, Whole, corrected
from dcdnas.cost.latency.kept import KeptTimes
from dcdnas.cost.latency.table import HOW_TO_FILL, LatencyTable, Place, place_of, said
from dcdnas.cost.latency.timing import Timing, timings
from dcdnas.errors import FileError, UsageError
from dcdnas.networks import STATIC, Slot, build_network, make, slots_of, unnamed
from dcdnas.space.parts import Group, Site
from dcdnas.space.pricing.cost import draw
from dcdnas.space.pricing.places import places_of
from dcdnas.space.search_space import SearchSpace, layer_choice

NETWORKS = 30
"""Networks that are measured whole, unless somebody says another number."""

TRIES = 20
"""Draws for each of them that may be networks that were drawn before."""

CHUNKS = {"slots": 64, "networks": 5}
"""Measured in turns."""

BLOCKS = {"slots": 6, "networks": 8}
"""Of calls, see `dcdnas.cost.latency.timing`."""

COMPANY = 15
"""Places with which one takes turns that is measured when it is asked for."""

WEIGHT = 25
"""Slots that take as long to measure as a network, about."""

Told = Callable[[float], None]
"""Is told which share of the work is done, 0-1."""

Work = tuple[str, Sequence[Place | Architecture]]


def places_needed(space: SearchSpace) -> dict[Place, str] | None:
    """Every place that a network of the space can have, with the name of a slot there; None where nobody can list them.

    A static convolution is among the choices of every place, since layers are compared with one.

    Raises:
        UsageError: when layers of the space share a guide, and so cannot be measured alone.
    """
    if any(group.shares_guides for group in space.groups):
        raise UsageError(
            f"layers of {space.name} share a guide, so they cannot be measured alone and the space has no latency. Write "
            "`guide: own` in its file, or bound another metric."
        )
    places = places_of(space)
    if places is None:
        return None
    group_of = {slot: group for group in space.groups for slot in group.slots}
    found: dict[Place, str] = {}
    for name, slots in places.slots.items():
        for slot in slots.values():
            for choice in (STATIC, *_choices(group_of.get(name), slot)):
                found.setdefault(place_of(slot, choice), name)
    return found


def measured(
    space: SearchSpace,
    device: Device,
    networks: int = NETWORKS,
    told: Told = lambda share: None,
    fresh: bool = False,
) -> LatencyTable:
    """The table of a space on this machine; what was measured before is taken from disk.

    Args:
        space: whose places are measured.
        device: of this machine.
        networks: measured whole, for the correction.
        told: of the progress.
        fresh: whether everything is measured again.

    Raises:
        UsageError: when the device is another machine's.
    """
    device.check_here()
    kept, whole, needed = KeptTimes(device), drawn(space, networks), places_needed(space)
    places = list(dict.fromkeys([*(needed or ()), *(place for a in whole for place in places_in(a))]))
    new = [place for place in places if fresh or kept.get(place) is None]
    for kind, items in _in_turns(new, [a for a in whole if fresh or kept.get(a) is None], told):
        kept.put(zip(items, timings([ready(item, device) for item in items], device, BLOCKS[kind]), strict=True))
    slots = {place: found for place in places if (found := kept.get(place))}
    wholes = [_whole(a, slots, found) for a in whole if (found := kept.get(a))]
    correction = corrected(wholes, space.name) if len(wholes) >= LEAST else Correction(space=space.name)
    table = LatencyTable(device, slots, correction, "the table of this machine")
    return table if needed is not None else finding(table)


def measured_network(architecture: Architecture, device: Device, told: Told = lambda share: None) -> tuple[LatencyTable, Timing]:
    """The table of one network on this machine, scaled so that its layers add up to what the network takes; and that.

    Raises:
        UsageError: when the device is another machine's, or a layer takes its guide from another and cannot be measured alone.
    """
    device.check_here()
    if any(choice.guide_channels for choice in architecture.layers.values()):
        raise UsageError("layers that take their guide from another layer cannot be measured alone. Leave --latency out.")
    kept, places, needed = KeptTimes(device), places_in(architecture), compared_in(architecture)
    for kind, items in _in_turns([p for p in needed if kept.get(p) is None], [architecture], told):
        kept.put(zip(items, timings([ready(item, device) for item in items], device, BLOCKS[kind]), strict=True))
    slots = {place: found for place in needed if (found := kept.get(place))}
    whole = kept.get(architecture)
    assert whole is not None
    factor = whole.median / sum(slots[place].median for place in places)
    return LatencyTable(device, slots, Correction(factor, networks=1), "the table of this network"), whole


def finding(table: LatencyTable) -> LatencyTable:
    """The table of this machine, measuring what it lacks when it is asked for: for spaces whose places nobody can list.

    Raises:
        UsageError: when it is another machine's.
    """
    table.device.check_here()
    kept, measured_before = KeptTimes(table.device), list(table.slots)
    company: list[tuple[nn.Module, Tensor]] = []

    def find(place: Place) -> Timing:
        known = kept.get(place)
        if known is None:
            if not company:  # alone it would find its own weights in the cache
                chosen = random.Random(0).sample(measured_before, min(COMPANY, len(measured_before)))
                company.extend(ready(other, table.device) for other in chosen)
            known = timings([ready(place, table.device), *company], table.device, BLOCKS["slots"])[0]
            kept.put([(place, known)])
        return known

    return replace(table, find=find)


def check_complete(table: LatencyTable, space: SearchSpace) -> None:
    """Raises FileError when a table lacks places of the space, and says which and how to measure them."""
    needed = places_needed(space)
    if needed is None:
        raise FileError(
            f"{table.source}: the places of {space.name} cannot be listed (its width is fitted, or it is too large), so no table "
            "has all of them. Leave --latency-table out; then this machine measures what is needed when it is needed."
        )
    missing = table.missing(needed)
    if missing:
        names = ", ".join(dict.fromkeys(needed[place] for place in missing))
        raise FileError(
            f"{table.source} ({table.device}) has no time for {len(missing)} of the {len(needed)} places of {space.name}, the "
            f"first of them {said(missing[0])} in {needed[missing[0]]}. Slots: {_short(names)}. {HOW_TO_FILL}"
        )


def drawn(space: SearchSpace, number: int) -> list[Architecture]:
    """Different random networks of a space, always the same ones; fewer where it has no more.

    Where the width is fitted they have one in the middle, since the fit may need the very latencies that these networks are for.
    """
    rng, found = random.Random(0), dict[str, Architecture]()
    if space.fit is not None:
        middle = round(math.sqrt(space.fit.at_least * space.fit.at_most), 2)
        space = replace(space, fixed={**space.fixed, "width": middle}, fit=None)
    for _ in range(TRIES * number):
        if len(found) == number:
            break
        architecture = space.architecture(draw(space, rng))
        found.setdefault(architecture.digest, architecture)
    return list(found.values())


def slot_sum(table: LatencyTable, architecture: Architecture) -> tuple[float, int]:
    """Nanoseconds of a network's slots, each alone, added up; and how many they are."""
    found = [table.timing(*place).median for place in places_in(architecture)]
    return float(sum(found)), len(found)


def _choices(group: Group | None, slot: Slot) -> Iterator[LayerChoice]:
    for c in group.candidates if group else ():
        names = [name for name, _ in c.settings]
        for values in product(*(options for _, options in c.settings)):
            yield layer_choice(c.operator, tuple(zip(names, values, strict=True)), Site(unnamed(slot)))


def places_in(architecture: Architecture) -> list[Place]:
    """The places of a network, one a slot."""
    return [place_of(slot, architecture.layers.get(slot.name, STATIC)) for slot in slots_of(architecture)]


def compared_in(architecture: Architecture) -> list[Place]:
    """The different places of a network, and what a static convolution would be there: what its layer table needs."""
    return list(dict.fromkeys([*places_in(architecture), *(place_of(slot, STATIC) for slot in slots_of(architecture))]))


def _whole(architecture: Architecture, slots: dict[Place, Timing], timing: Timing) -> Whole:
    places = places_in(architecture)
    return Whole(float(sum(slots[place].median for place in places)), len(places), float(timing.median))


def _in_turns(places: Sequence[Place], networks: Sequence[Architecture], told: Told) -> Iterator[Work]:
    """Chunks of both, spread evenly over the time that all of them take."""
    works: list[tuple[float, Work]] = []
    parts: tuple[Work, Work] = (("slots", places), ("networks", networks))
    for kind, items in parts:
        size = CHUNKS[kind]
        works += [((i + size / 2) / len(items), (kind, items[i : i + size])) for i in range(0, len(items), size)]
    done, total = 0, max(1, len(places) + WEIGHT * len(networks))
    for _, (kind, items) in sorted(works, key=lambda w: w[0]):
        told(done / total)
        yield kind, items
        done += len(items) * (WEIGHT if kind == "networks" else 1)
    if works:
        told(1.0)


def ready(item: Place | Architecture, device: Device) -> tuple[nn.Module, Tensor]:
    """What is measured, deployed on the device, with an input."""
    with torch.random.fork_rng(devices=()):  # the throw-away weights must not shift anyone's random numbers
        torch.manual_seed(0)
        if isinstance(item, Architecture):
            return at_work(build_network(item), item.input, device)
        slot, choice = item
        return at_work(make(slot, choice), slot.input, device)


def _short(names: str) -> str:
    return names if len(names) < 200 else f"{names[:200]} ..."
