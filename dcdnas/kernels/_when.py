"""Decides when a compiled kernel may replace torch: only in ordinary float32 training on one thread of a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils import _python_dispatch

from dcdnas.kernels._library import library

_PEEK: Any = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None)
TELLS = _PEEK is not None and hasattr(forward_ad, "_current_level") and hasattr(_python_dispatch, "_get_current_dispatch_mode")
"""Whether this version of torch has the private functions that `usable` calls; torch uses them itself, and may rename them."""


_IN_TRAINING_MODE = ContextVar("_IN_TRAINING_MODE", default=False)


@contextmanager
def without_gradients() -> Iterator[None]:
    """Disables gradients, as `torch.no_grad` does, but keeps the compiled kernels in use within the context.

    For forward passes in training mode, whose maps are the same as in a training step. Everywhere else, code that runs without
    gradients, such as measurements and exports, uses torch's forms.
    """
    token = _IN_TRAINING_MODE.set(True)
    try:
        with torch.no_grad():
            yield
    finally:
        _IN_TRAINING_MODE.reset(token)


def usable(*tensors: Tensor) -> bool:
    """Whether the compiled kernels may compute with these tensors in the current context.

    False where the operations themselves are observed (tracing, exporting, compiling, counting, `torch.func`, forward-mode
    derivatives), where autocast would choose a precision, and where torch itself would use several threads.
    """
    return (
        not (torch.compiler.is_compiling() or torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
        and (torch.is_grad_enabled() or _IN_TRAINING_MODE.get())
        and all(_plain(tensor) for tensor in tensors)
        and torch.get_num_threads() == 1
        and not torch.is_autocast_enabled("cpu")
        and TELLS
        and _python_dispatch._get_current_dispatch_mode() is None
        and _PEEK() is None
        and forward_ad._current_level < 0
        and library() is not None
    )


def _plain(tensor: Tensor) -> bool:
    """Whether this is an ordinary float32 tensor on the CPU, not a subclass that records or fakes operations."""
    return type(tensor) in (Tensor, nn.Parameter) and tensor.dtype is torch.float32 and tensor.is_cpu
