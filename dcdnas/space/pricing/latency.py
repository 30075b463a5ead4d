"""The latency table of a space: a time for every place that its networks can have, and a correction fitted on some networks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost.latency import NOTATION
from dcdnas.cost.latency.choosing import Told, check_device, quietly
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.file import read_table
from dcdnas.cost.latency.measuring import finding, measured_table
from dcdnas.cost.latency.table import HOW_TO_FILL, LatencyTable, Place, place_of, said
from dcdnas.errors import FileError, UsageError
from dcdnas.networks import STATIC, Slot, identity, unnamed
from dcdnas.space.parts import Group, Site
from dcdnas.space.pricing.cost import draw
from dcdnas.space.pricing.places import places_of
from dcdnas.space.search_space import SearchSpace, layer_choice

NETWORKS = 30
"""Default number of networks that are measured as a whole."""

TRIES = 20
"""Draws per network: some of them repeat a network that was drawn before."""


def places_needed(space: SearchSpace) -> dict[Place, str] | None:
    """Returns every place that a network of the space can have, with the name of a slot there; None if they cannot be listed.

    A static convolution is among the choices of every place, because layers are compared with it.

    Raises:
        UsageError: when layers of the space share a guide or weights, and so cannot be measured alone.
    """
    if any(group.shares_weights for group in space.groups):
        raise UsageError(
            f"layers of {space.name} share weights, so they cannot be measured alone and the space has no latency. Write "
            "`share: layer` beside the operator's settings in its file, or bound another metric."
        )
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
    told: Callable[[float], None] = lambda share: None,
    fresh: bool = False,
) -> LatencyTable:
    """Measures the table of a space on this machine; earlier measurements are read from disk.

    Args:
        space: whose places are measured.
        device: of this machine.
        networks: number of networks measured as a whole, for the correction.
        told: is called with the share of the work that is done, 0-1.
        fresh: whether everything is measured again.

    Raises:
        UsageError: when the device belongs to another machine.
    """
    device.check_here()
    needed = places_needed(space)
    table = measured_table(needed or (), drawn(space, networks), device, space.name, told, fresh)
    return table if needed is not None else finding(table)


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
    """Draws different random networks of a space, the same ones each time; fewer where the space has fewer.

    If the width is fitted, they all have a medium width, because the fit may need the latencies that they are measured for.
    """
    rng, found = random.Random(0), dict[str, Architecture]()
    if space.fit is not None:
        middle = round(math.sqrt(space.fit.at_least * space.fit.at_most), 2)
        space = replace(space, fixed={**space.fixed, "width": middle}, fit=None)
    for _ in range(TRIES * number):
        if len(found) == number:
            break
        architecture = space.architecture(draw(space, rng))
        found.setdefault(identity(architecture), architecture)
    return list(found.values())


def take_table(
    space: SearchSpace,
    metrics: Iterable[str],
    file: str | Path | None = None,
    device: str | None = None,
    told: Told = quietly,
) -> LatencyTable | None:
    """Returns the latency table by which the space's networks are priced, if one of the metrics needs it.

    Args:
        space: whose networks are priced.
        metrics: of budgets and objectives.
        file: with the table; None takes this machine's CPU with one thread, which is measured if it has not been yet.
        device: name of another machine's device that the table belongs to; a part of the name is enough.
        told: is called with the progress of a measurement.

    Returns:
        The table, see `dcdnas.cost.latency.prices_by`; None when no metric needs one.

    Raises:
        UsageError: when a table is given that no metric needs, or that belongs to another device than `device`.
        FileError: when the file cannot be read, or lacks places of the space.
    """
    if NOTATION.metric not in set(metrics):
        if file or device:
            raise UsageError("--latency-table and --latency-device are for a latency budget or objective. Add one, like -b 2ms.")
        return None
    if file is None:
        if device:
            raise UsageError("--latency-device names the device of a table. Give the table, too: --latency-table FILE.")
        table = measured_here(space, told)
    else:
        table = read_table(file)
        check_device(table, device)
        check_complete(table, space)
    return table


def measured_here(space: SearchSpace, told: Told = quietly, threads: int = 1) -> LatencyTable:
    """Measures the table of this machine's CPU for a space."""
    device = this_device(threads=threads)
    return measured(space, device, told=lambda share: told(f"latencies of {space.name} on {device}", share))


def notes_on(table: LatencyTable | None, space: SearchSpace) -> list[str]:
    """Returns caveats about a table for its users, one sentence each."""
    if table is None:
        return []
    c, said = table.correction, []
    if not c.networks and c.error is None:
        said.append(f"{table.source} has no correction that was fitted on whole networks: latencies are plain sums over layers.")
    elif c.space and c.space != space.name:
        said.append(f"the correction of {table.source} was fitted on networks of {c.space}, not of {space.name}.")
    return said


def _choices(group: Group | None, slot: Slot) -> Iterator[LayerChoice]:
    for c in group.candidates if group else ():
        names = [name for name, _ in c.settings]
        for values in product(*(options for _, options in c.settings)):
            yield layer_choice(c.operator, tuple(zip(names, values, strict=True)), Site(unnamed(slot)))


def _short(names: str) -> str:
    return names if len(names) < 200 else f"{names[:200]} ..."
