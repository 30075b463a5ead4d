"""Which latency table a command or a search reads its prices from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from dcdnas.core.architecture import Architecture
from dcdnas.core.files import runs_folder
from dcdnas.cost.latency.device import this_device
from dcdnas.cost.latency.file import read_table
from dcdnas.cost.latency.table import LatencyTable, use, used
from dcdnas.cost.latency.timing import Timing
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.latency import thaw
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import UsageError
from dcdnas.space.pricing.latency import check_complete, measured, measured_network
from dcdnas.space.search_space import SearchSpace

METRIC = "latency"

Told = Callable[[str, float], None]
"""Is told what is being measured, and which share of it is done, 0-1."""


def quietly(what: str, share: float) -> None:
    """Says nothing."""


def take_table(
    space: SearchSpace,
    metrics: Iterable[str],
    file: str | Path | None = None,
    device: str | None = None,
    told: Told = quietly,
) -> LatencyTable | None:
    """Makes latency a price of the space's networks, where one of the metrics needs it.

    Args:
        space: whose networks are priced.
        metrics: of budgets and objectives.
        file: with the table; None takes this machine's CPU with one thread, which is measured where that has not been done.
        device: of another machine, whose table is meant; a part of its name is enough.
        told: of the measurement, when there is one.

    Returns:
        The table in use; None when no metric needs one.

    Raises:
        UsageError: when a table is given that nothing needs, or that is of another device than is meant.
        FileError: when the file cannot be read, or lacks places of the space.
    """
    if METRIC not in set(metrics):
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
    use(table)
    return table


def measured_here(space: SearchSpace, told: Told = quietly, threads: int = 1) -> LatencyTable:
    """The table of this machine's CPU for a space."""
    device = this_device(threads=threads)
    return measured(space, device, told=lambda share: told(f"latencies of {space.name} on {device}", share))


def table_of_search(
    settings: SearchSettings, space: SearchSpace, metrics: Collection[str], told: Told = quietly
) -> LatencyTable | None:
    """The latency table of the search; a run that exists already keeps its own."""
    folder = runs_folder() / (settings.name or "")
    if METRIC in metrics and settings.name and not settings.latency_table and (folder / "search.yaml").is_file():
        before = SearchConfig.read(folder / "search.yaml")
        if before.latency:
            thaw(folder, before.latency, space)
            return used()
    return take_table(space, metrics, settings.latency_table, settings.latency_device, told)


def take_network(
    architecture: Architecture, file: str | Path | None = None, device: str | None = None, told: Told = quietly
) -> tuple[LatencyTable, Timing | None]:
    """Makes latency a price of one network: from a file, else by measuring it here and now.

    Args:
        architecture: of the network.
        file: with a table that has its places; None measures this machine's CPU with one thread.
        device: of another machine, whose table is meant.
        told: of the measurement.

    Returns:
        The table in use; and what the whole network takes, when that was measured.

    Raises:
        UsageError: when the table is of another device than is meant, or a device is named without a table.
        FileError: when the file cannot be read.
    """
    if file is None:
        if device:
            raise UsageError("--latency-device names the device of a table. Give the table, too: --latency-table FILE.")
        here = this_device()
        table, whole = measured_network(
            architecture, here, lambda share: told(f"latencies of {architecture.network} on {here}", share)
        )
    else:
        table, whole = read_table(file), None
        check_device(table, device)
    use(table)
    return table, whole


def check_device(table: LatencyTable, device: str | None) -> None:
    """Raises UsageError when a table is of another machine and that was not said, or of another device than was said."""
    name = table.device.name
    if device is not None and device.lower() not in name.lower():
        raise UsageError(f"{table.source} is of {name!r}, not of {device!r}. Give the table of that device.")
    if device is None and not table.device.here:
        raise UsageError(
            f"{table.source} is of another device, {name!r}; this machine is {this_device().name!r}. To search for that device, "
            f"name it: --latency-device {name!r}. For this machine leave --latency-table out."
        )


def notes_on(table: LatencyTable | None, space: SearchSpace) -> list[str]:
    """What a person should know of a table before trusting it, a sentence each."""
    if table is None:
        return []
    c, said = table.correction, []
    if not c.networks and c.error is None:
        said.append(f"{table.source} has no correction that was fitted on whole networks: latencies are sums of lone layers.")
    elif c.space and c.space != space.name:
        said.append(f"the correction of {table.source} was fitted on networks of {c.space}, not of {space.name}.")
    return said
