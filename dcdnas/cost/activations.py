"""Activations: peak bytes of tensors that are not weights during inference, from the lifetimes of the tensors."""

from __future__ import annotations

import copy
import math
from functools import cache
from operator import add

from torch import nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.units import BYTES, Notation
from dcdnas.cost._base import Metric
from dcdnas.cost._kept import kept
from dcdnas.cost._liveness import Lives
from dcdnas.cost._meta import dry_run, run, shapes_only, with_memory
from dcdnas.cost._skeleton import result_of, skeleton
from dcdnas.networks import ACTIVATIONS, STATIC, Slot, build_network, class_of, deployed, self_contained

__all__ = ["activations"]


def count_activations(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Measures the peak bytes of a pass of the deployed module in its counted form; `shape` of the input without the batch.

    After each operation, the input, which its owner keeps, and all results of operations that are still referenced are counted.
    Memory that an operation allocates and frees internally is not seen.
    """
    return _followed(module, shape).most


def _followed(module: nn.Module, shape: tuple[int, ...]) -> Lives:
    try:
        ready = deployed(copy.deepcopy(module))
    except (NotImplementedError, RuntimeError):  # folding that reads tensor values
        ready = deployed(with_memory(module))
    lives: Lives = dry_run(ready, shape, Lives)
    return lives


UNKNOWN = -1
"""Need of a slot that leaves more in memory than its result, so that it cannot be priced alone."""


def slot_need(slot: Slot, choice: LayerChoice) -> int:
    """Returns the peak bytes that a slot's module needs besides its input, including its result; or `UNKNOWN`.

    Weights that it borrows from another layer do not count, because they are that layer's.
    """
    return _need(Slot(slot.kind, slot.geometry, slot.kind, _alike(slot.activation), slot.variant), self_contained(choice))


@cache
def _alike(activation: str) -> str:
    """One name for all activations that compute in place, and so allocate nothing."""
    module = ACTIVATIONS[activation]() if activation in ACTIVATIONS else None
    return "relu" if getattr(module, "inplace", False) else activation


@cache
def _need(slot: Slot, choice: LayerChoice) -> int:
    return kept(f"activations {slot.activation}".rstrip(), slot, choice, lambda: _measured(slot, choice))


def _measured(slot: Slot, choice: LayerChoice) -> int:
    try:
        lives = run(deployed(shapes_only(slot, choice)), slot.input, Lives)
    except (NotImplementedError, RuntimeError):  # a module that reads tensor values; this takes longer
        lives = _followed(shapes_only(slot, choice), slot.input)
    result = 4 * math.prod(result_of(slot))
    return lives.most - lives.before if lives.after - lives.before == result else UNKNOWN


def peaks(architecture: Architecture) -> list[int]:
    """Returns the numbers whose maximum is the network's value: one outside of its slots, and one for each of them.

    What a slot needs is measured on its module alone; what the network holds meanwhile is measured on its skeleton. If the layers
    of a block share a guide, or a slot's need is `UNKNOWN`, the whole network is measured instead.
    """
    a = architecture
    wiring = skeleton(class_of(a), tuple(a.settings.items()), a.input, a.classes)
    choices = [a.layers.get(slot.name, STATIC) for slot in wiring.slots]
    if any(choice.guide_channels for choice in choices):
        return [_whole(a)]
    needs = [slot_need(slot, choice) for slot, choice in zip(wiring.slots, choices, strict=True)]
    if UNKNOWN in needs:
        return [_whole(a)]
    return [wiring.most, *map(add, wiring.held, needs)]


def _whole(architecture: Architecture) -> int:
    return count_activations(build_network(architecture), architecture.input)


def floor(slot: Slot, choice: LayerChoice) -> int:
    """Lower bound of every network with this choice: the slot's input, and what the slot needs."""
    return 4 * math.prod(slot.input) + max(0, slot_need(slot, choice))


NOTATION = Notation("activations", "Activations", BYTES, implied=False)

activations = Metric(
    NOTATION,
    "peak bytes of tensors that are not weights",
    count_activations,
    of_network=lambda architecture: max(peaks(architecture)),
    peaks=peaks,
    floor=floor,
)
