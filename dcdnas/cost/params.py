"""Learnable parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from torch import nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.units import Notation, counts
from dcdnas.cost._base import Metric
from dcdnas.cost._kept import kept
from dcdnas.cost._meta import shapes_only
from dcdnas.networks import Slot

__all__ = ["params"]


def count_params(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Counts learnable parameters; one that several modules share counts once. `shape` is ignored."""
    return sum(parameter.numel() for parameter in module.parameters())


def slot_params(slot: Slot, choice: LayerChoice) -> int:
    """Counts the parameters of one slot, on a module without memory, because only the shapes matter."""
    place = Slot(slot.kind, replace(slot.geometry, height=1, width=1), slot.kind, variant=slot.variant)
    return _params(place, LayerChoice(choice.operator, choice.settings, guide_channels=choice.guide_channels))


@cache
def _params(slot: Slot, choice: LayerChoice) -> int:
    return kept("params", slot, choice, lambda: count_params(shapes_only(slot, choice), ()))


WORDS = ("params", "param", "parameters", "parameter")

NOTATION = Notation("params", "Parameters", counts("params", *WORDS), words=WORDS, short="Params")

params = Metric(NOTATION, "learnable parameters", count_params, of_slot=slot_params)
