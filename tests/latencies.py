"""Latencies for tests: computed by arithmetic instead of measured, so that no test depends on the machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from torch import nn

from dcdnas.cost.latency import measuring
from dcdnas.cost.latency.device import Device, this_device
from dcdnas.cost.latency.fit import Correction
from dcdnas.cost.latency.runtimes import Part
from dcdnas.cost.latency.table import LatencyTable, Place
from dcdnas.cost.latency.timing import Timing


def arithmetic(place: Place) -> Timing:
    """Five nanoseconds per input pixel and channel, plus terms for the output channels, the operator and an activation."""
    slot, choice = place
    g = slot.geometry
    value = 5 * g.in_channels * g.height * g.width + 10 * g.out_channels * g.kernel_size**2 + 7 * bool(slot.activation)
    return Timing(value + 1000 * len(choice.operator), 3)


def pretended(device: Device | None = None, factor: float = 1.25) -> LatencyTable:
    """A latency table in which `arithmetic` gives the time of every place."""
    return LatencyTable(device or this_device(), {}, Correction(factor, 100.0), "the test's table", arithmetic)


class PretendedTimes:
    """Replaces `timings`: a module's time is a function of its number of parameters.

    Args:
        factor: factor by which a network takes longer than its slots.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self.factor, self.calls = factor, 0

    def __call__(self, parts: Sequence[Part], device: Device, blocks: int) -> list[Timing]:
        """Timings of 100 ns plus one nanosecond per parameter (of a network, times `factor`), with quartiles 1 ns apart."""
        self.calls += len(parts)
        return [Timing(self._of(part.module), 1) for part in parts]

    def _of(self, module: nn.Module) -> int:
        whole = hasattr(module, "architecture")
        return round((self.factor if whole else 1) * (100 + sum(p.numel() for p in module.parameters())))


@contextmanager
def pretended_times(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedTimes]:
    """Provides simulated measurements and an empty cache within the block."""
    monkeypatch.setenv("DCDNAS_CACHE", str(cache))
    pretending = PretendedTimes(1.5)
    monkeypatch.setattr(measuring, "timings", pretending)
    yield pretending
