"""torch: runs the modules themselves, operation by operation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dcdnas.cost.latency.runtimes._base import Call, Part, Runtime

__all__ = ["Torch"]


class Torch(Runtime):
    """Calls the module itself; the timing sets the number of threads, which belongs to the process."""

    @property
    def software(self) -> str:
        """See `Runtime.software`."""
        return f"torch {torch.__version__.partition('+')[0]}"

    def check(self, kind: str, batch: int) -> None:
        """Accepts every device and any number of images."""

    def calls(self, parts: Sequence[Part], threads: int) -> list[Call]:
        """See `Runtime.calls`."""
        return [_call(part.module, part.x) for part in parts]


def _call(module: nn.Module, x: Tensor) -> Call:
    return lambda: module(x)
