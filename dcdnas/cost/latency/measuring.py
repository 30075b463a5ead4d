"""Measuring what a latency table holds: places and whole networks, in turns, on this machine.

Which places and networks those are is said by the caller; `dcdnas.space.pricing.latency` says it for a space.
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
from dcdnas.networks import STATIC, build_network, make, slots_of

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


def measured_table(
    places: Iterable[Place],
    networks: Sequence[Architecture],
    device: Device,
    space: str,
    told: Told = lambda share: None,
    fresh: bool = False,
) -> LatencyTable:
    """A table of this machine; what was measured before is taken from disk.

    Args:
        places: that it has at least.
        networks: measured whole, with all of their places, for the correction.
        device: of this machine.
        space: name of the space that the networks are of.
        told: of the progress.
        fresh: whether everything is measured again.

    Raises:
        UsageError: when the device is another machine's.
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
    """The table of one network on this machine, scaled so that its layers add up to what the network takes; and that.

    Raises:
        UsageError: when the device is another machine's, or a layer takes its guide from another and cannot be measured alone.
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
    """The table of this machine, measuring what it lacks when it is asked for: for spaces whose places nobody can list.

    Raises:
        UsageError: when it is another machine's.
    """
    table.device.check_here()
    kept, measured_before = KeptTimes(table.device), list(table.slots)
    company: list[Part] = []

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


def places_in(architecture: Architecture) -> list[Place]:
    """The places of a network, one a slot."""
    return [place_of(slot, architecture.layers.get(slot.name, STATIC)) for slot in slots_of(architecture)]


def compared_in(architecture: Architecture) -> list[Place]:
    """The different places of a network, and what a static convolution would be there: what its layer table needs."""
    return list(dict.fromkeys([*places_in(architecture), *(place_of(slot, STATIC) for slot in slots_of(architecture))]))


def whole(architecture: Architecture, slots: Mapping[Place, Timing], timing: Timing) -> Whole:
    """A network that was measured, with what its slots take alone."""
    places = places_in(architecture)
    return Whole(float(sum(slots[place].median for place in places)), len(places), float(timing.median))


def ready(item: Place | Architecture, device: Device) -> Part:
    """What is measured, deployed on the device, with an input."""
    with torch.random.fork_rng(devices=()):  # the throw-away weights must not shift anyone's random numbers
        torch.manual_seed(0)
        if isinstance(item, Architecture):
            return at_work(build_network(item), item.input, device)
        slot, choice = item
        return at_work(make(slot, choice), slot.input, device, said(item))


def _measure(kept: KeptTimes, places: Sequence[Place], networks: Sequence[Architecture], told: Told) -> None:
    for kind, items in _in_turns(places, networks, told):
        found = timings([ready(item, kept.device) for item in items], kept.device, BLOCKS[kind])
        kept.put(zip(items, found, strict=True))


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
