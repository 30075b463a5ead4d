"""Gradients that are differentiated again: those of the torch form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients_of(form: Callable[..., Tensor], given: Sequence[Tensor | None], g: Tensor) -> list[Tensor | None]:
    """The gradients of `form(*given)` by each of `given`, with a graph of their own; None by what wants none.

    One of `given` may depend on another, as a kernel that was made from the map it is applied to does: the gradient by the map is
    then that of this form alone, and what goes through the kernel is left to whoever made it.
    """
    apart = [None if tensor is None else tensor.view_as(tensor) for tensor in given]
    wanted = [number for number, tensor in enumerate(apart) if tensor is not None and tensor.requires_grad]
    found = torch.autograd.grad(
        form(*apart), [t for n, t in enumerate(apart) if n in wanted and t is not None], g, create_graph=True
    )
    each: list[Tensor | None] = [None] * len(apart)
    for number, gradient in zip(wanted, found, strict=True):
        each[number] = gradient
    return each
