"""Latency: nanoseconds of one forward pass on a device, predicted from the times of the slots there."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.units import TIMES, Notation
from dcdnas.cost._base import Metric
from dcdnas.cost._price import CATALOGUE, Prices
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.runtimes import Part
from dcdnas.cost.latency.table import LatencyTable
from dcdnas.cost.latency.timing import Timing, timings
from dcdnas.errors import UsageError
from dcdnas.networks import Network, Slot, deployed

__all__ = ["latency"]

BLOCKS = 10
"""Number of blocks of calls of a whole network, see `dcdnas.cost.latency.timing`."""


def slot_latency(slot: Slot, choice: LayerChoice) -> int:
    """Raises UsageError, because only a table gives what a slot adds to its network's latency, see `prices_by`."""
    raise UsageError(
        "latency cannot be priced without a table. Measure one with `dcdnas latency measure SPACE`, or give one with "
        "--latency-table FILE."
    )


def prices_by(table: LatencyTable | None) -> Prices:
    """Returns prices whose latency is predicted from a table; without a table they have no latency."""
    if table is None:
        return CATALOGUE
    return Prices(replace(latency, of_slot=table.nanoseconds, measure=lambda m, shape: time_module(m, shape, table.device)))


def time_networks(networks: Sequence[Network], device: Device) -> list[Timing]:
    """Measures the latencies of whole networks on this machine, in turns; deploys them in place, for inference only.

    Raises:
        UsageError: when the device belongs to another machine, or its runtime cannot run one of them.
    """
    device.check_here()
    return timings([at_work(network, network.architecture.input, device) for network in networks], device, BLOCKS)


def at_work(module: nn.Module, shape: Iterable[int], device: Device, name: str = "the network") -> Part:
    """Deploys a network or a slot's module on the device (`Network.deploy`), in place, and makes an input for it.

    Args:
        module: to be deployed.
        shape: of one input without the batch.
        device: of this machine.
        name: of the module, for messages.
    """
    x = torch.randn(device.batch, *shape, generator=torch.Generator().manual_seed(0))
    return Part(deployed(module).to(device.kind), x.to(device.kind), name)


def time_module(module: nn.Module, shape: tuple[int, ...], device: Device | None = None) -> int:
    """Measures the nanoseconds that a module takes on this machine; the module is left unchanged.

    Args:
        module: in any mode, on any device.
        shape: of one input without the batch.
        device: of this machine, and how it is used; one thread of the CPU when left out.

    Raises:
        UsageError: when the device belongs to another machine.
    """
    device = device or this_device()
    device.check_here()
    return timings([at_work(copy.deepcopy(module), shape, device)], device, BLOCKS)[0].median


NOTATION = Notation("latency", "Latency", TIMES)

latency = Metric(
    NOTATION,
    "nanoseconds of a forward pass",
    time_module,
    of_slot=slot_latency,
    exact=False,
)
