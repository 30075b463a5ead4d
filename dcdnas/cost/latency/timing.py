"""Measures how long modules take, with several modules taking turns.

The modules take turns call by call. Therefore each call finds the caches as a layer does in a network, filled by other modules,
and a burst of other load on the machine affects a few calls of many modules instead of all calls of one. Each call is timed
separately; three consecutive calls of a module form a block, whose time is their median; a module's time is that of its fastest
block. Disturbances only make calls longer, so the fastest block is the least disturbed one. (`torch.utils.benchmark` times one
statement in a loop, with warm caches, and averages over the loop, so that one interruption distorts the result.)

A single CPU thread is timed by its own clock, which stops while other processes use the processor. Several threads need a wall
clock. A GPU is timed by its events, from before a call to after its last kernel.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from dcdnas.cost.latency.device import Device
from dcdnas.cost.latency.runtimes import Call, Part, runtimes

Clock = Callable[[Call], float]
"""Makes a call and returns how many seconds it took."""

CALLS = 3
"""Number of calls in a block."""

LEAST = 0.05
"""Minimum share of a call that counts as the module's time: less is not distinguishable from the call's overhead."""


@dataclass(frozen=True)
class Timing:
    """The time of a module.

    Args:
        median: nanoseconds of the fastest block, less the overhead of a call (`Runtime.start`).
        iqr: nanoseconds between the quartiles of all calls, which is large on a busy machine.
    """

    median: int
    iqr: int = 0


def timings(parts: Sequence[Part], device: Device, blocks: int, clock: Clock | None = None) -> list[Timing]:
    """Measures the time of each module on its input, in the device's runtime.

    Args:
        parts: modules in eval mode with their inputs, on the device.
        device: of this machine.
        blocks: number of blocks of `CALLS` calls for each module.
        clock: a clock for tests; the device's own when left out.

    Raises:
        UsageError: naming a part that the runtime cannot run.
    """
    clock, runtime = clock or clock_of(device), runtimes[device.runtime]()
    start = runtime.start(device.threads)
    calls = [*runtime.calls(parts, device.threads), *([start] if start else [])]
    seconds: list[list[float]] = [[] for _ in calls]
    with torch.inference_mode(), _threads(device.threads):
        for call in calls:
            clock(call)  # the first call of a module includes set-up that later calls reuse
        for _ in range(blocks * CALLS):
            for call, found in zip(calls, seconds, strict=True):
                found.append(clock(call))
    less = _quickest(seconds.pop()) if start else 0.0
    return [_timing(found, less) for found in seconds]


def clock_of(device: Device) -> Clock:
    """Returns the clock for calls on a device."""
    if device.kind == "cuda":
        return by_events(torch.cuda.Event, torch.cuda.synchronize)
    return by(time.thread_time if device.threads == 1 else time.perf_counter)


def by_events(event: Callable[..., Any], synchronize: Callable[[], object]) -> Clock:
    """Makes a clock from a GPU's events, from before the call's first kernel to after its last.

    Args:
        event: creates an event, as `torch.cuda.Event`.
        synchronize: waits until all kernels have finished.
    """

    def clock(call: Call) -> float:
        before, after = event(enable_timing=True), event(enable_timing=True)
        synchronize()
        before.record()
        call()
        after.record()
        synchronize()
        return float(before.elapsed_time(after)) / 1e3

    return clock


def by(now: Callable[[], float]) -> Clock:
    """Makes a clock from a function that returns the time in seconds."""

    def clock(call: Call) -> float:
        before = now()
        call()
        return now() - before

    return clock


def _quickest(seconds: Sequence[float]) -> float:
    return min(statistics.median(seconds[i : i + CALLS]) for i in range(0, len(seconds), CALLS))


def _timing(seconds: Sequence[float], less: float) -> Timing:
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive")
    quickest = _quickest(seconds)
    return Timing(max(1, round(1e9 * max(quickest - less, LEAST * quickest))), round(1e9 * (high - low)))


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
