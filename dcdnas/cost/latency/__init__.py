"""Latency: nanoseconds of one forward pass on a device, predicted from the times of the slots there."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.units import TIMES, Notation
from dcdnas.cost._base import Metric
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.table import in_use, used
from dcdnas.cost.latency.timing import Timing, timings
from dcdnas.networks import Network, Slot, deployed

__all__ = ["latency"]

BLOCKS = 10
"""Of calls of a whole network, see `dcdnas.cost.latency.timing`."""


def slot_latency(slot: Slot, choice: LayerChoice) -> int:
    """What a slot adds to its network's latency, in nanoseconds, by the table in use.

    Raises:
        UsageError: when no table is in use.
        FileError: when the table does not know the place.
    """
    return used().nanoseconds(slot, choice)


def time_networks(networks: Sequence[Network], device: Device) -> list[Timing]:
    """What whole networks take on this machine, in turns; they are put on the device, ready for inference only.

    Raises:
        UsageError: when the device is another machine's.
    """
    device.check_here()
    return timings([at_work(network, network.architecture.input, device) for network in networks], device, BLOCKS)


def at_work(module: nn.Module, shape: Iterable[int], device: Device) -> tuple[nn.Module, Tensor]:
    """A network, or what stands in a slot, as it is deployed on the device (`Network.deploy`), in place; and an input for it.

    Args:
        module: to be deployed.
        shape: of one input without the batch.
        device: of this machine.
    """
    x = torch.randn(device.batch, *shape, generator=torch.Generator().manual_seed(0))
    return deployed(module).to(device.kind), x.to(device.kind)


def time_module(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Nanoseconds that a module takes on this machine, used like the device of the table in use, if any; it is left as it was.

    Raises:
        UsageError: when the table in use is of another machine.
    """
    device = used().device if in_use() else this_device()
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
