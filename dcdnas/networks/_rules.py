"""The rules that a plugin's network must follow to be accepted at all; `dcdnas.testing` checks the whole contract."""

from __future__ import annotations

from dcdnas.core.dimension import dimensions
from dcdnas.core.plugins import require
from dcdnas.core.slot import Slot
from dcdnas.networks._base import Network

INPUT, CLASSES = (3, 32, 32), 7
"""Input and number of classes for which the network's slots are checked."""


def check(name: str, network: type[Network]) -> None:
    """Checks the slots of a network without building it.

    Args:
        name: of the entry.
        network: class to be added.

    Raises:
        ContractError: naming the rule that the network breaks.
    """
    dimensions(network)
    settings = network.complete({})
    require(network.complete(settings) == settings, "complete changes settings that are complete; they have to stay as they are")
    slots = network.slots(INPUT, CLASSES, settings)
    are_slots = isinstance(slots, tuple) and len(slots) > 0 and all(isinstance(slot, Slot) for slot in slots)
    require(are_slots, "slots has to be a tuple of Slot, in the order of computation")
    names = [slot.name for slot in slots]
    twice = sorted({n for n in names if names.count(n) > 1})
    require(not twice, f"slots names {', '.join(twice)} more than once; a name is the path of one module")
    channels, last = slots[0].geometry.in_channels, slots[-1]
    require(channels == INPUT[0], f"the first slot takes {channels} channels of an image that has {INPUT[0]}")
    require(
        last.kind == "linear" and last.geometry.out_channels == CLASSES,
        f"the last slot is {last.name}, {last.kind}, with {last.geometry.out_channels} outputs; it has to be the classifier, of "
        "kind linear, with an output a class",
    )
