"""Selects the latency table that a caller means: from a file, of a named device, or of this machine."""

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
"""Progress callback: is called with what is being measured, and the share of it that is done, 0-1."""


def quietly(what: str, share: float) -> None:
    """Ignores the progress."""


def take_network(
    architecture: Architecture,
    file: str | Path | None = None,
    device: str | None = None,
    told: Told = quietly,
    runtime: str | None = None,
) -> tuple[LatencyTable, Timing | None]:
    """Returns the table by which one network is priced: from a file, or measured now on this machine.

    Args:
        architecture: of the network.
        file: with a table that has its places; None measures this machine's CPU with one thread.
        device: name of another machine's device that the table belongs to.
        told: is called with the progress of a measurement.
        runtime: to measure in; torch when left out.

    Returns:
        The table; and the time of the whole network, when that was measured.

    Raises:
        UsageError: when the table belongs to another device than `device`, or a device is named without a table, or a runtime
            with one.
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
    """Checks that a table belongs to `device`, or without one to this machine.

    Raises:
        UsageError: when it belongs to another machine and no device was named, or to another device than the named one.
        MissingPackageError: when it is for a runtime that is not installed here, so that nothing can be measured with it.
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
