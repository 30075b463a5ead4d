"""The products that a FLOP count includes, marked so that a counter sees exactly them and no other multiplication.

`product(a, b)` is `a * b`. While `counting()` is active (only the FLOP counter does that) it runs as the operation
``dcdnas::product``, so that a trace names each marked product; everywhere else it is the plain multiplication that every
exporter and compiler knows.
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
    """Whether a FLOP counter is looking; never where a compiler is, which cannot read a context variable."""
    return not torch.compiler.is_compiling() and _COUNTING.get()


def product(a: Tensor, b: Tensor) -> Tensor:
    """The elementwise product `a * b`, counted as one multiply-add an element of the (broadcast) result."""
    if is_counting():
        marked: Tensor = torch.ops.dcdnas.product(a, b)
        return marked
    return a * b


def plus_product(base: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`base + a @ b` for batches of matrices (N, D, P), (N, D, C) and (N, C, P), in one operation where nobody counts."""
    return base + a @ b if is_counting() else torch.baddbmm(base, a, b)


def scaled(a: Tensor, b: Tensor, base: Tensor | None = None) -> Tensor:
    """`product(a, b)` (`+ base`), in the memory of `a`, which nobody else may need, where no gradient does.

    Two passes in place: `torch.addcmul` takes three times as long when it broadcasts.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or is_counting():
        return product(a, b) if base is None else product(a, b) + base
    return a.mul_(b) if base is None else a.mul_(b).add_(base)


@contextmanager
def counting() -> Iterator[None]:
    """Within this context `product` runs as the traceable operation ``dcdnas::product``."""
    token = _COUNTING.set(True)
    try:
        yield
    finally:
        _COUNTING.reset(token)
