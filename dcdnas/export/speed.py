"""Measures how many images per second an opened network processes."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcdnas.export.opened import Opened

MOST, LEAST, SECONDS, BATCH = 20, 5, 3.0, 64
"""Largest and smallest number of timed passes, seconds after which no more are timed, and images in a batch."""


@dataclass(frozen=True)
class Speed:
    """Images per second over timed passes, after one warm-up pass.

    Args:
        median: median over the passes.
        low: first quartile.
        high: third quartile.
        batch: images in a pass.
        passes: number of timed passes.
        runtime: ``torch`` or ``onnxruntime``.
        device: device that the network ran on.
    """

    median: float
    low: float
    high: float
    batch: int
    passes: int
    runtime: str
    device: str

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data for JSON."""
        return {f"{name}_images_per_second" if name in ("median", "low", "high") else name: v for name, v in asdict(self).items()}

    def __str__(self) -> str:
        return (
            f"{self.median:,.0f} images/s (middle half of {self.passes} passes: {self.low:,.0f} to {self.high:,.0f}), batch "
            f"{self.batch}, {self.runtime} on {self.device}"
        )


def speed_of(opened: Opened) -> Speed:
    """Times forward passes on random inputs; reading and normalising images is not included."""
    import torch

    batch = opened.batch or min(BATCH, opened.most)
    x = torch.randn(batch, *opened.input, generator=torch.Generator().manual_seed(0))
    taken: list[float] = []
    with torch.inference_mode():
        opened.run(x)
        while len(taken) < LEAST or (len(taken) < MOST and sum(taken) < SECONDS):
            start = time.perf_counter()
            opened.run(x)  # the result is copied to the CPU, so the computation has finished
            taken.append(time.perf_counter() - start)
    rates = [batch / seconds for seconds in taken]
    low, median, high = statistics.quantiles(rates, n=4)
    return Speed(median, low, high, batch, len(rates), opened.runtime, opened.device)
