"""The kernels that a sample makes for itself, marked so that their memory can be measured.

Whoever convolves with such a kernel says so with `per_sample`. While somebody watches (only a cost metric does that) the kernels
are shown to it; everywhere else saying so does nothing.
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
    """The kernel itself, which each sample has its own of: it multiplies channels or taps of a map, unlike a channel's gate."""
    watcher = None if torch.compiler.is_compiling() else _WATCHER.get()
    if watcher is not None:
        watcher(kernel)
    return kernel


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Within this context `watcher` is shown each kernel of a sample before it is used."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)
