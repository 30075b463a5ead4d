"""Measures the cost of any torch module, whether or not it contains operators of dcdnas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from dcdnas.core.geometry import Cost, as_int
from dcdnas.core.units import ALWAYS
from dcdnas.cost._base import metrics
from dcdnas.errors import UsageError

SHAPE = "the shape of one input without the batch, e.g. (3, 224, 224)"


def count(module: nn.Module, input: Sequence[int] | Tensor, names: Iterable[str] = ALWAYS) -> Cost:
    """Measures the cost of a module for one input on a forward pass in eval mode; the module is left unchanged.

    Args:
        module: that takes one tensor.
        input: shape of one input without the batch, e.g. ``(3, 224, 224)``, or a batch of inputs.
        names: of exact metrics; `dcdnas list metrics` shows all.

    Returns:
        ``count(...)["flops"]`` are the multiply-adds at batch 1 by the rules of a budget, ``["params"]`` the parameters.

    Raises:
        UnknownNameError: when there is no such metric.
        UsageError: for an input that is invalid or that the module cannot compute, an object that is not a module, or a metric
            that is a prediction.
        UncountedOperation: naming an operation that the counter does not know, which is therefore never counted as free.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"{type(module).__name__} cannot be counted. Allowed: a torch module, like the network of dcdnas.build.")
    given: Any = tuple(input.shape[1:]) if isinstance(input, Tensor) else input
    shape = tuple(size for each in given if (size := as_int(each))) if isinstance(given, Sequence) else ()
    if not shape or len(shape) != len(given) or min(shape) < 1:
        raise UsageError(f"input cannot be {given!r}. Allowed: {SHAPE}.")
    wanted = tuple(names)
    predicted = next((name for name in wanted if not metrics[name].exact), None)
    if predicted is not None:
        raise UsageError(f"{predicted} is predicted, and cannot be counted on a module. Allowed: exact metrics, like flops.")
    try:
        return Cost({name: metrics[name].measure(module, shape) for name in wanted})
    except (RuntimeError, ValueError, IndexError) as error:
        problem = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise UsageError(
            f"{type(module).__name__} cannot compute an input of shape {shape}: {problem:.200}. Allowed: {SHAPE}, with the "
            "channels that it takes and a map that is large enough."
        ) from error
