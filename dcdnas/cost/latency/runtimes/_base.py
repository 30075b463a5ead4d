"""The interface of a runtime: whether it can measure here, and a call for each module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

Call = Callable[[], object]
"""One forward pass."""


class Part(NamedTuple):
    """A network, or the module of a slot, ready to be measured.

    Args:
        module: deployed, in eval mode, on its device.
        x: an input batch on the same device.
        name: for messages.
    """

    module: nn.Module
    x: Tensor
    name: str = "the network"


class Runtime(ABC):
    """Runs modules the way deployed networks are run."""

    @property
    @abstractmethod
    def software(self) -> str:
        """Its name and version, as stored in tables."""

    @abstractmethod
    def check(self, kind: str, batch: int) -> None:
        """Checks that the runtime works here, on this kind of device and with this batch.

        Args:
            kind: of device, ``cpu`` or ``cuda``.
            batch: number of images per forward pass.

        Raises:
            MissingPackageError: when it is not installed.
            UsageError: when it does not support the kind of device or the batch.
        """

    @abstractmethod
    def calls(self, parts: Sequence[Part], threads: int) -> list[Call]:
        """Returns a call of each module on its input.

        Args:
            parts: to be called.
            threads: that each computes with.

        Raises:
            UsageError: naming a part that it cannot run.
        """

    def start(self, threads: int) -> Call | None:
        """Returns a call that computes nothing, if calls have an overhead that a layer in a network does not have; else None.

        Its time is subtracted from that of every other call.
        """
        return None
