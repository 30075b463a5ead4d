"""Which table a caller means: one in a file, of the device that was named, or that of this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dcdnas.core.architecture import Architecture
from dcdnas.cost.latency.device import this_device
from dcdnas.cost.latency.file import read_table
from dcdnas.cost.latency.measuring import measured_network
from dcdnas.cost.latency.table import LatencyTable
from dcdnas.cost.latency.timing import Timing
from dcdnas.errors import UsageError

Told = Callable[[str, float], None]
"""Is told what is being measured, and which share of it is done, 0-1."""


def quietly(what: str, share: float) -> None:
    """Says nothing."""


def take_network(
    architecture: Architecture,
    file: str | Path | None = None,
    device: str | None = None,
    told: Told = quietly,
    runtime: str | None = None,
) -> tuple[LatencyTable, Timing | None]:
    """The table that one network is priced by: from a file, else by measuring it here and now.

    Args:
        architecture: of the network.
        file: with a table that has its places; None measures this machine's CPU with one thread.
        device: of another machine, whose table is meant.
        told: of the measurement.
        runtime: to measure in; torch when left out.

    Returns:
        The table; and what the whole network takes, when that was measured.

    Raises:
        UsageError: when the table is of another device than is meant, or a device is named without a table, or a runtime with
            one.
        FileError: when the file cannot be read.
    """
    if file is None:
        if device:
            raise UsageError("--latency-device names the device of a table. Give the table, too: --latency-table FILE.")
        here = this_device(runtime=runtime or "torch")
        table, whole = measured_network(
            architecture, here, lambda share: told(f"latencies of {architecture.network} on {here}", share)
        )
    elif runtime:
        raise UsageError(f"--runtime says what is measured, and {file} has been. Leave one of them out.")
    else:
        table, whole = read_table(file), None
        check_device(table, device)
    return table, whole


def check_device(table: LatencyTable, device: str | None) -> None:
    """Whether a table is of the device that is meant.

    Raises:
        UsageError: when it is of another machine and that was not said, or of another device than was said.
        MissingPackageError: when it is of a runtime that is not installed here, so that nothing can be measured with it.
    """
    name = table.device.name
    if device is not None and device.lower() not in name.lower():
        raise UsageError(f"{table.source} is of {name!r}, not of {device!r}. Give the table of that device.")
    if device is None and table.device.this_machines:
        table.device.check_here()
    elif device is None:
        raise UsageError(
            f"{table.source} is of another device, {name!r}; this machine is {this_device().name!r}. To search for that device, "
            f"name it: --latency-device {name!r}. For this machine leave --latency-table out."
        )
