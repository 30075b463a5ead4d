"""How many images a second an opened network takes."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcdnas.export.opened import Opened

MOST, LEAST, SECONDS, BATCH = 20, 5, 3.0, 64
"""Passes that are timed at most and at least, seconds that they take, and images of a batch."""


@dataclass(frozen=True)
class Speed:
    """Images a second over timed passes, after one that was not.

    Args:
        median: of the passes.
        low: their first quartile.
        high: their third quartile.
        batch: images of a pass.
        passes: that were timed.
        runtime: ``torch`` or ``onnxruntime``.
        device: that it ran on.
    """

    median: float
    low: float
    high: float
    batch: int
    passes: int
    runtime: str
    device: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {f"{name}_images_per_second" if name in ("median", "low", "high") else name: v for name, v in asdict(self).items()}

    def __str__(self) -> str:
        return (
            f"{self.median:,.0f} images/s (middle half of {self.passes} passes: {self.low:,.0f} to {self.high:,.0f}), batch "
            f"{self.batch}, {self.runtime} on {self.device}"
        )


def speed_of(opened: Opened) -> Speed:
    """Times passes of random images, which have been read and normalised."""
    import torch

    batch = opened.batch or min(BATCH, opened.most)
    x = torch.randn(batch, *opened.input, generator=torch.Generator().manual_seed(0))
    taken: list[float] = []
    with torch.inference_mode():
        opened.run(x)
        while len(taken) < LEAST or (len(taken) < MOST and sum(taken) < SECONDS):
            start = time.perf_counter()
            opened.run(x)  # its result comes back to the CPU, so that it has been computed
            taken.append(time.perf_counter() - start)
    rates = [batch / seconds for seconds in taken]
    low, median, high = statistics.quantiles(rates, n=4)
    return Speed(median, low, high, batch, len(rates), opened.runtime, opened.device)
