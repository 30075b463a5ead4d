"""Differentiable gradients of the compiled kernels, computed from their forms in torch's operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients_of(form: Callable[..., Tensor], given: Sequence[Tensor | None], g: Tensor) -> list[Tensor | None]:
    """The gradients of `form(*given)` with respect to each of `given`, again differentiable; None for inputs that need none.

    One input may depend on another, as a kernel that was computed from the map that it is applied to. The map's gradient then
    covers its direct use in `form` only; autograd adds the part through the kernel where the kernel was computed.
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
