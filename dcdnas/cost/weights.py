"""Weights: bytes of the tensors in a network's state dict, as a checkpoint stores them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from torch import nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.units import BYTES, Notation
from dcdnas.cost._base import Metric
from dcdnas.cost._kept import kept
from dcdnas.cost._meta import shapes_only
from dcdnas.networks import Slot

__all__ = ["weights"]


def count_bytes(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Counts the bytes of all tensors of the state dict, each by its own dtype; `shape` is ignored.

    This includes the statistics and batch counters of BatchNorms. The deployed copy (`Network.deploy`) and what is exported from
    it take less, because their BatchNorms are folded into the convolutions; the file's container takes a little more.
    """
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


def slot_bytes(slot: Slot, choice: LayerChoice) -> int:
    """Counts the bytes of one slot, on a module without memory, because only shapes and dtypes matter."""
    place = Slot(slot.kind, replace(slot.geometry, height=1, width=1), slot.kind, variant=slot.variant)
    return _bytes(place, LayerChoice(choice.operator, choice.settings, guide_channels=choice.guide_channels))


@cache
def _bytes(slot: Slot, choice: LayerChoice) -> int:
    return kept("weights", slot, choice, lambda: count_bytes(shapes_only(slot, choice), ()))


NOTATION = Notation("weights", "Weights", BYTES)

weights = Metric(NOTATION, "bytes of parameters and buffers", count_bytes, of_slot=slot_bytes)
