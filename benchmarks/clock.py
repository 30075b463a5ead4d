"""Measures time, peak memory and the rates of the machine, for `operators.py` and other benchmarks."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Calls = dict[str, Callable[[], Any]]


def turns(calls: Calls, rounds: int, seconds: float, device: torch.device) -> dict[str, list[float]]:
    """Milliseconds of each call in each round, in which all calls take turns; the first round is a warm-up and is discarded.

    Ends after `rounds` rounds, or earlier, but not before three rounds, once `seconds` of wall time have passed.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    began = time.monotonic()
    for turn in range(rounds + 1):
        if turn > 3 and time.monotonic() - began > seconds:
            break
        for name, call in calls.items():
            spent = clocked(call, device)
            if turn:
                found[name].append(spent)
    return found


def clocked(call: Callable[[], Any], device: torch.device, least: float = 3e-3) -> float:
    """Milliseconds of one call: the thread's processor time, averaged over `least` seconds or more, or the time on a GPU."""
    if device.type == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end)
    repeats, started = 0, time.thread_time()
    while not repeats or time.thread_time() - started < least:
        call()
        repeats += 1
    return (time.thread_time() - started) / repeats * 1e3


def ratio(above: list[float], below: list[float]) -> float:
    """Median over the rounds of `above` / `below`."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def machine_rates(device: torch.device) -> tuple[float, float]:
    """Peak multiply-adds and bytes per millisecond: of the faster of a matrix product and a convolution, and of a large copy."""
    a, b = torch.randn(1024, 1024, device=device), torch.randn(1024, 1024, device=device)
    x, w = torch.randn(4, 256, 28, 28, device=device), torch.randn(256, 256, 3, 3, device=device)
    big, target = torch.randn(1 << 24, device=device), torch.empty(1 << 24, device=device)
    with torch.inference_mode():
        product = best(lambda: a @ b, device)
        convolution = best(lambda: F.conv2d(x, w, None, 1, 1), device)
        copy = best(lambda: target.copy_(big), device)
    return max(1024**3 / product, 4 * 784 * 256 * 256 * 9 / convolution), 2 * 4 * (1 << 24) / copy


def best(call: Callable[[], Any], device: torch.device) -> float:
    """Milliseconds of the fastest of seven measurements of a call."""
    return min(clocked(call, device) for _ in range(7))


def peak(call: Callable[[], Any]) -> float:
    """Peak memory in MiB of the tensors that a call's operations allocate and that are alive at the same time."""
    with Peak() as memory:
        call()
    return memory.most / 2**20


class Peak(TorchDispatchMode):
    """Tracks the bytes of the storages that operations have allocated and that are still alive, and their maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in args if isinstance(t, Tensor)}
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in given:
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size
