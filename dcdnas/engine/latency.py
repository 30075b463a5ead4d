"""The latency table of a run: frozen in its folder, read again by whoever continues it, and held against measured networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dcdnas.core.architecture import Architecture
from dcdnas.core.files import write_whole
from dcdnas.core.trial import Trial
from dcdnas.cost.latency import time_networks
from dcdnas.cost.latency.file import read_table, table_text
from dcdnas.cost.latency.table import LatencyTable, use, used
from dcdnas.engine.store import Store
from dcdnas.errors import FileError, RunError
from dcdnas.networks import build_network
from dcdnas.space.pricing.latency import compared_in, finding, places_needed
from dcdnas.space.search_space import SearchSpace

FILE = "latency.json"


def record(table: LatencyTable) -> dict[str, Any]:
    """What a search's configuration says of its table: the device and the correction."""
    return {"device": asdict(table.device), "correction": asdict(table.correction)}


def freeze(folder: Path) -> None:
    """Writes the table in use into a run's folder."""
    table = used()
    write_whole(folder / FILE, table_text(table.device, table.slots.items(), table.correction))


def thaw(folder: Path, recorded: Mapping[str, Any] | None, space: SearchSpace) -> None:
    """Reads the prices of latency from a run's own table from now on.

    Raises:
        RunError: when it is missing, damaged or another one.
    """
    if not recorded:
        return
    try:
        table = read_table(folder / FILE)
    except FileError as error:
        raise RunError(f"the run's latency table is gone or damaged, so its search cannot go on as it began. {error}") from None
    if record(table) != dict(recorded):
        raise RunError(f"{folder / FILE} is not the table that this search began with; put that one back.")
    use(finding(table) if places_needed(space) is None and table.device.here else table)


def take_for(folder: Path, architecture: Architecture) -> bool:
    """Reads the prices of latency from a run's own table, where it can be read and has all places of a network; says whether."""
    try:
        table = read_table(folder / FILE)
    except FileError:
        return False
    if table.missing(compared_in(architecture)):
        return False
    use(table)
    return True


def time_front(store: Store, line: Iterable[Trial]) -> None:
    """Measures whole networks that were not measured yet, and writes down what they take; nothing for another machine."""
    device = used().device
    known: dict[str, Any] = store.meta("timed") or {}
    new = {t.architecture.digest: t.architecture for t in line if t.architecture.digest not in known}
    if not new or not device.here:
        return
    for digest, timing in zip(new, time_networks([build_network(a) for a in new.values()], device), strict=True):
        known[digest] = {"latency": timing.median, "iqr": timing.iqr}
    with store.transaction():
        store.set_meta("timed", known)
