"""What a runtime is asked: whether it can measure here, and a call for each module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

Call = Callable[[], object]
"""One forward pass."""


class Part(NamedTuple):
    """A network, or what stands in a slot of one, ready to be measured.

    Args:
        module: deployed, in eval mode, on its device.
        x: an input with its batch, on the same device.
        name: for messages.
    """

    module: nn.Module
    x: Tensor
    name: str = "the network"


class Runtime(ABC):
    """Runs modules as deployed networks are run."""

    @property
    @abstractmethod
    def software(self) -> str:
        """Its name and version, as tables keep them."""

    @abstractmethod
    def check(self, kind: str, batch: int) -> None:
        """Whether it runs here and in this way.

        Args:
            kind: of device, ``cpu`` or ``cuda``.
            batch: images that go through at once.

        Raises:
            MissingPackageError: when it is not installed.
            UsageError: when it does not run on such a device, or with so many images.
        """

    @abstractmethod
    def calls(self, parts: Sequence[Part], threads: int) -> list[Call]:
        """A call of each module on its input.

        Args:
            parts: to be called.
            threads: that each computes with.

        Raises:
            UsageError: naming a part that it cannot run.
        """

    def start(self, threads: int) -> Call | None:
        """A call that computes nothing, when a call takes time by itself that a layer does not take in a network; else None.

        What it takes is taken off every other call.
        """
        return None
