"""Keeps the latency table of a run: written into its folder, read again on resume, and compared with measured networks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.files import write_whole
from dcdnas.cost.latency import NOTATION, prices_by, time_networks
from dcdnas.cost.latency.choosing import Told, quietly
from dcdnas.cost.latency.file import read_table, table_text
from dcdnas.cost.latency.measuring import compared_in, finding
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.store import Store
from dcdnas.errors import FileError, RunError, UsageError
from dcdnas.networks import build_network
from dcdnas.space.pricing.latency import places_needed, take_table

if TYPE_CHECKING:
    from dcdnas.core.architecture import Architecture
    from dcdnas.core.trial import Trial
    from dcdnas.cost.latency.device import Device
    from dcdnas.cost.latency.table import LatencyTable
    from dcdnas.space.search_space import SearchSpace

FILE = "latency.json"


def record(table: LatencyTable) -> dict[str, Any]:
    """The record of a latency table in the config of a search: its device and correction."""
    return {"device": asdict(table.device), "correction": asdict(table.correction)}


def space_and_table(
    folder: Path | None,
    space: SearchSpace,
    metrics: Collection[str],
    file: str | None = None,
    device: str | None = None,
    told: Told = quietly,
) -> tuple[SearchSpace, LatencyTable | None]:
    """Returns the space with the prices of a search, and its latency table if one of the metrics is predicted from one.

    An existing run keeps its table.

    Args:
        folder: folder of a run that may exist; None for a new one.
        space: space whose networks are priced.
        metrics: metrics of the budgets and objectives.
        file: file with another latency table.
        device: device of another machine, whose table is used.
        told: callback that gets the progress of a measurement, if one is necessary.
    """
    table = None
    if folder is not None and not file and NOTATION.metric in metrics and (folder / "search.yaml").is_file():
        table = thaw(folder, SearchConfig.read(folder / "search.yaml").latency, space)
    table = table or take_table(space, metrics, file, device, told)
    return space.priced_by(prices_by(table)), table


def space_and_table_of(folder: Path, config: SearchConfig) -> tuple[SearchSpace, LatencyTable | None]:
    """Returns the space with its prices and the latency table of an existing run, see `space_and_table`.

    Raises:
        RunError: when the table is missing, damaged, or not the one that the search began with.
    """
    space = config.build_space()
    table = thaw(folder, config.latency, space)
    return space.priced_by(prices_by(table)), table


def freeze(folder: Path, table: LatencyTable) -> None:
    """Writes a table into a run's folder."""
    write_whole(folder / FILE, table_text(table.device, table.slots.items(), table.correction))


def thaw(folder: Path, recorded: Mapping[str, Any] | None, space: SearchSpace) -> LatencyTable | None:
    """Reads the latency table from a run's folder; None when the run records none.

    Raises:
        RunError: when the table is missing, damaged, or not the one that the search began with.
    """
    if not recorded:
        return None
    try:
        table = read_table(folder / FILE)
    except FileError as error:
        raise RunError(f"the run's latency table is missing or damaged, so its search cannot continue with it. {error}") from None
    if record(table) != dict(recorded):
        raise RunError(f"{folder / FILE} is not the table that this search began with; put that one back.")
    return finding(table) if places_needed(space) is None and table.device.here else table


def table_for(folder: Path, architecture: Architecture) -> LatencyTable | None:
    """Reads a run's latency table; None when it cannot be read or lacks a layer position of the network."""
    try:
        table = read_table(folder / FILE)
    except FileError:
        return None
    return None if table.missing(compared_in(architecture)) else table


def time_front(store: Store, line: Iterable[Trial], device: Device) -> None:
    """Measures the latency of whole networks that were not measured yet, and stores it; does nothing for another machine.

    A runtime may refuse a network. This is ignored, and the front then keeps its predicted latencies.

    Args:
        store: the run's store, open for writing.
        line: trials whose networks are measured.
        device: device that the run is for.
    """
    known: dict[str, Any] = store.meta("timed") or {}
    new = {t.deployed: t.architecture for t in line if t.deployed not in known}
    if not new or not device.here:
        return
    try:
        times = time_networks([build_network(a) for a in new.values()], device)
    except UsageError:
        return
    known |= {network: {"latency": timing.median, "iqr": timing.iqr} for network, timing in zip(new, times, strict=True)}
    with store.transaction():
        store.set_meta("timed", known)
