"""Kernel memory: peak bytes of the kernels that are computed for a sample, in the layer with the most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from torch import Tensor, nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.units import BYTES, Notation
from dcdnas.cost._base import Metric
from dcdnas.cost._kept import kept
from dcdnas.cost._liveness import Alive
from dcdnas.cost._meta import dry_run, shapes_only
from dcdnas.cost._price import slot_prices
from dcdnas.networks import Slot
from dcdnas.operators import watching

__all__ = ["kernel_memory"]


class Most:
    """Tracks the peak bytes of the kernels that exist; it is called with each kernel when that is used."""

    def __init__(self) -> None:
        self.bytes = 0
        self._alive = Alive()

    def __call__(self, kernel: Tensor) -> None:
        """Adds a kernel to those that still exist."""
        self._alive.add(kernel, kernel.numel() * kernel.element_size())
        self.bytes = max(self.bytes, self._alive.bytes())


@contextmanager
def _watched(module: nn.Module, x: Tensor) -> Iterator[Most]:
    most = Most()
    with watching(most):
        yield most


def count_kernel_bytes(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Measures the peak bytes of one sample's kernels, in the counted form; `shape` of the input without the batch."""
    return dry_run(module, shape, _watched).bytes


def slot_kernel_bytes(slot: Slot, choice: LayerChoice) -> int:
    """Measures the same for one slot, on a module without memory; which layer computes the guide does not matter."""
    if choice.operator == "static" and slot.kind != "ddf-up":
        return 0
    return _slot_bytes(Slot(slot.kind, slot.geometry, slot.kind), LayerChoice(choice.operator, choice.settings, choice.form))


@cache
def _slot_bytes(slot: Slot, choice: LayerChoice) -> int:
    return kept("kernel-memory", slot, choice, lambda: _measured(slot, choice))


def _measured(slot: Slot, choice: LayerChoice) -> int:
    return count_kernel_bytes(shapes_only(slot, choice), slot.input)


def layers_bytes(architecture: Architecture) -> list[int]:
    """Returns the bytes of each layer of an architecture."""
    return [int(row[0]) for row in slot_prices(architecture, ("kernel-memory",))]


NOTATION = Notation("kernel-memory", "Kernel memory", BYTES, implied=False)

kernel_memory = Metric(
    NOTATION,
    "peak bytes of the kernels computed for a sample",
    count_kernel_bytes,
    of_slot=slot_kernel_bytes,
    of_network=lambda architecture: max(layers_bytes(architecture), default=0),
    peaks=layers_bytes,
    floor=slot_kernel_bytes,
)
