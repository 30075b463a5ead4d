"""The skeleton of a network, its wiring run with empty slots: the bytes that it holds while each slot computes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from dcdnas.core.architecture import NetworkSetting
from dcdnas.cost._liveness import Lives
from dcdnas.networks import ConvNorm, Network, Places, Shape, Slot

KEPT = 4096
"""Maximum number of cached skeletons."""


@dataclass(frozen=True)
class Skeleton:
    """The memory of a network without the contents of its slots.

    Args:
        slots: in the order of computation.
        held: bytes that exist when each slot begins, including its input.
        most: peak bytes outside of the slots.
    """

    slots: tuple[Slot, ...]
    held: tuple[int, ...]
    most: int


class _Stub(ConvNorm):
    """Placeholder of a slot: records the bytes that exist when it begins, and returns a result of the right shape."""

    def __init__(self, slot: Slot, held: dict[str, int]) -> None:
        nn.Module.__init__(self)
        self.guided, self.place, self.held = False, slot, held
        self.norm = self.activation = nn.Identity()  # a backbone may read these attributes of a slot's module

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """(1, C, H, W) -> (1, D, H', W')."""
        self.held[self.place.name] = Lives.running().now
        return torch.empty(result_of(self.place), device="meta")


class _Stubs(Places):
    """Fills every place of a network with a stub."""

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        super().__init__(slots, {})
        self.held: dict[str, int] = {}

    def fill(self, name: str) -> nn.Module:
        """Returns a stub, or an identity where the network has no such slot."""
        return _Stub(self._slots[name], self.held) if name in self else nn.Identity()


@lru_cache(maxsize=KEPT)
def skeleton(cls: type[Network], settings: tuple[tuple[str, NetworkSetting], ...], input: Shape, classes: int) -> Skeleton:
    """Runs the wiring of a network with empty slots and returns its skeleton."""
    complete = cls.complete(dict(settings))
    slots = cls.slots(input, classes, complete)
    stubs = _Stubs(slots)
    module, x = cls(stubs, **complete).eval(), torch.empty((1, *input), device="meta")
    with torch.no_grad(), Lives(module, x) as lives:
        result = module(x)
    del result
    return Skeleton(slots, tuple(stubs.held[slot.name] for slot in slots), lives.most)


def result_of(slot: Slot) -> tuple[int, ...]:
    """Shape of a slot's output at batch 1."""
    return 1, *slot.output
