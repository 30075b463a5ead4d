"""Marks kernels that are generated for each sample, so that their memory can be measured.

Code that convolves with such a kernel passes it through `per_sample`. Inside `watching`, which only a cost metric uses, the
watcher receives each of these kernels; everywhere else `per_sample` has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

Watcher = Callable[[Tensor], None]

_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def per_sample(kernel: Tensor) -> Tensor:
    """Marks and returns a kernel that differs between samples: it weights taps or mixes channels, unlike a gate of channels."""
    watcher = None if torch.compiler.is_compiling() else _WATCHER.get()
    if watcher is not None:
        watcher(kernel)
    return kernel


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Context in which `watcher` receives each per-sample kernel before it is used."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)
