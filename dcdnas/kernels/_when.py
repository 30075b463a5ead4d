"""When a compiled kernel may stand in for torch: in ordinary float32 training on one thread of a CPU, and nowhere else."""

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
"""Whether this version of torch tells what `usable` has to know; its own code asks the same names, which may change."""


_IN_TRAINING_MODE = ContextVar("_IN_TRAINING_MODE", default=False)


@contextmanager
def without_gradients() -> Iterator[None]:
    """Within this context the kernels compute although no gradients are wanted: for passes in training mode, whose maps are those
    that a training sees. What is measured or exported elsewhere without gradients stays torch's.
    """
    token = _IN_TRAINING_MODE.set(True)
    try:
        with torch.no_grad():
            yield
    finally:
        _IN_TRAINING_MODE.reset(token)


def usable(*tensors: Tensor) -> bool:
    """Whether the kernels may compute with these tensors here and now.

    They may not where somebody looks at the operations themselves (tracing, exporting, compiling, counting, `torch.func`,
    forward-mode derivatives), where autocast would choose a precision, and where torch itself would use several threads.
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
    """An ordinary tensor of float32 on the CPU, no subclass that records or fakes what is done to it."""
    return type(tensor) in (Tensor, nn.Parameter) and tensor.dtype is torch.float32 and tensor.is_cpu
