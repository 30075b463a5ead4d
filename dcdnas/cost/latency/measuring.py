"""Measures the entries of a latency table on this machine: places and whole networks, in turns.

The caller chooses the places and networks; `dcdnas.space.pricing.latency` does this for a space.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from dcdnas.core.architecture import Architecture
from dcdnas.cost.latency import at_work
from dcdnas.cost.latency.device import Device
from dcdnas.cost.latency.fit import LEAST, Correction, Whole, corrected
from dcdnas.cost.latency.kept import KeptTimes
from dcdnas.cost.latency.runtimes import Part
from dcdnas.cost.latency.table import LatencyTable, Place, place_of, said
from dcdnas.cost.latency.timing import Timing, timings
from dcdnas.errors import UsageError
from dcdnas.networks import STATIC, build_network, make, self_contained, slots_of

CHUNKS = {"slots": 64, "networks": 5}
"""Number of items that are timed in turns."""

BLOCKS = {"slots": 6, "networks": 8}
"""Number of blocks of calls per item, see `dcdnas.cost.latency.timing`."""

COMPANY = 15
"""Number of other places with which a place takes turns when it is measured on demand."""

WEIGHT = 25
"""Approximate number of slots that take as long to measure as one network."""

Told = Callable[[float], None]
"""Progress callback: is called with the share of the work that is done, 0-1."""

Work = tuple[str, Sequence[Place | Architecture]]


def measured_table(
    places: Iterable[Place],
    networks: Sequence[Architecture],
    device: Device,
    space: str,
    told: Told = lambda share: None,
    fresh: bool = False,
) -> LatencyTable:
    """Measures a table of this machine; earlier measurements are read from disk.

    Args:
        places: that it contains at least.
        networks: measured as a whole, and with all of their places, for the correction.
        device: of this machine.
        space: name of the space that the networks belong to.
        told: is called with the progress.
        fresh: whether everything is measured again.

    Raises:
        UsageError: when the device belongs to another machine.
    """
    device.check_here()
    kept = KeptTimes(device)
    needed = list(dict.fromkeys([*places, *(place for a in networks for place in places_in(a))]))
    new = [place for place in needed if fresh or kept.get(place) is None]
    _measure(kept, new, [a for a in networks if fresh or kept.get(a) is None], told)
    slots = {place: found for place in needed if (found := kept.get(place))}
    wholes = [whole(a, slots, found) for a in networks if (found := kept.get(a))]
    correction = corrected(wholes, space) if len(wholes) >= LEAST else Correction(space=space)
    return LatencyTable(device, slots, correction, "the table of this machine")


def measured_network(architecture: Architecture, device: Device, told: Told = lambda share: None) -> tuple[LatencyTable, Timing]:
    """Measures the table of one network, scaled so that its layers add up to the network's time, and that time.

    Raises:
        UsageError: when the device belongs to another machine, or a layer uses another's guide and cannot be measured alone.
    """
    device.check_here()
    if any(choice.guide_channels for choice in architecture.layers.values()):
        raise UsageError("layers that take their guide from another layer cannot be measured alone. Leave --latency out.")
    kept, places, needed = KeptTimes(device), places_in(architecture), compared_in(architecture)
    _measure(kept, [p for p in needed if kept.get(p) is None], [architecture], told)
    slots = {place: found for place in needed if (found := kept.get(place))}
    timing = kept.get(architecture)
    assert timing is not None
    factor = timing.median / sum(slots[place].median for place in places)
    return LatencyTable(device, slots, Correction(factor, networks=1), "the table of this network"), timing


def finding(table: LatencyTable) -> LatencyTable:
    """Returns a table that measures missing places on demand, for spaces whose places cannot be listed.

    Raises:
        UsageError: when the table belongs to another machine.
    """
    table.device.check_here()
    kept, measured_before = KeptTimes(table.device), list(table.slots)
    company: list[Part] = []

    def find(place: Place) -> Timing:
        known = kept.get(place)
        if known is None:
            if not company:  # timed alone, the place would find its own weights in the cache
                chosen = random.Random(0).sample(measured_before, min(COMPANY, len(measured_before)))
                company.extend(ready(other, table.device) for other in chosen)
            known = timings([ready(place, table.device), *company], table.device, BLOCKS["slots"])[0]
            kept.put([(place, known)])
        return known

    return replace(table, find=find)


def places_in(architecture: Architecture) -> list[Place]:
    """Returns the places of a network, one per slot."""
    return [place_of(slot, architecture.layers.get(slot.name, STATIC)) for slot in slots_of(architecture)]


def compared_in(architecture: Architecture) -> list[Place]:
    """Returns the distinct places of a network, also with a static convolution there, as its layer table needs them."""
    return list(dict.fromkeys([*places_in(architecture), *(place_of(slot, STATIC) for slot in slots_of(architecture))]))


def whole(architecture: Architecture, slots: Mapping[Place, Timing], timing: Timing) -> Whole:
    """Returns a measured network with the sum of its slots' times."""
    places = places_in(architecture)
    return Whole(float(sum(slots[place].median for place in places)), len(places), float(timing.median))


def ready(item: Place | Architecture, device: Device) -> Part:
    """Builds what is to be measured, deployed on the device, with an input."""
    with torch.random.fork_rng(devices=()):  # building these temporary weights must not advance the global random state
        torch.manual_seed(0)
        if isinstance(item, Architecture):
            return at_work(build_network(item), item.input, device)
        slot, choice = item
        return at_work(make(slot, self_contained(choice)), slot.input, device, said(item))


def _measure(kept: KeptTimes, places: Sequence[Place], networks: Sequence[Architecture], told: Told) -> None:
    for kind, items in _in_turns(places, networks, told):
        found = timings([ready(item, kept.device) for item in items], kept.device, BLOCKS[kind])
        kept.put(zip(items, found, strict=True))


def _in_turns(places: Sequence[Place], networks: Sequence[Architecture], told: Told) -> Iterator[Work]:
    """Yields chunks of places and of networks, both spread evenly over the whole measuring time."""
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
