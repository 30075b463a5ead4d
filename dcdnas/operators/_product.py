"""Marks the elementwise products that a FLOP count includes, so that the counter sees exactly these multiplications.

`product(a, b)` is `a * b`. Inside `counting()`, which only the FLOP counter uses, it runs as the operation ``dcdnas::product``,
so that a trace contains each marked product by name. Everywhere else it is the ordinary multiplication that every exporter and
compiler supports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_COUNTING: ContextVar[bool] = ContextVar("counting", default=False)

_LIBRARY = torch.library.Library("dcdnas", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define("product(Tensor a, Tensor b) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("product", lambda a, b: a * b, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]


def is_counting() -> bool:
    """Whether a FLOP counter is active; always False under a compiler, which cannot read a context variable."""
    return not torch.compiler.is_compiling() and _COUNTING.get()


def product(a: Tensor, b: Tensor) -> Tensor:
    """Returns `a * b`, counted as one multiply-add for each element of the (broadcast) result."""
    if is_counting():
        marked: Tensor = torch.ops.dcdnas.product(a, b)
        return marked
    return a * b


def plus_product(base: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Returns `base + a @ b` for batches of matrices (N, D, P), (N, D, C), (N, C, P); one operation, except while counting."""
    return base + a @ b if is_counting() else torch.baddbmm(base, a, b)


def scaled(a: Tensor, b: Tensor, base: Tensor | None = None) -> Tensor:
    """Returns `product(a, b)` (`+ base`); without gradients it is computed in place in `a`, which the caller must not use again.

    It makes two in-place passes, because `torch.addcmul` takes three times as long when it broadcasts.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or is_counting():
        return product(a, b) if base is None else product(a, b) + base
    return a.mul_(b) if base is None else a.mul_(b).add_(base)


@contextmanager
def counting() -> Iterator[None]:
    """Context in which `product` runs as the traceable operation ``dcdnas::product``."""
    token = _COUNTING.set(True)
    try:
        yield
    finally:
        _COUNTING.reset(token)
