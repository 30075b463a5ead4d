"""FLOPs: multiply-adds at batch 1 of what the network runs in eval mode, measured by fvcore.

Counted, one each: convolutions, linear layers, matrix products, and every product that builds or applies an
input-dependent quantity (those go through `dcdnas.operators` `product`). Not counted, as in the papers: additions,
BatchNorm (it folds into the convolution), activations, pooling, softmax. Any other operation is an error, never a silent zero.
fvcore counts on a trace. Where torch cannot trace a module, a counter of dispatched operations computes the same number, and a
warning reports this.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.units import Notation, counts
from dcdnas.cost._base import Metric
from dcdnas.cost._dispatch_counter import by_dispatch
from dcdnas.cost._operations import UncountedOperation
from dcdnas.networks import Slot, fixed_parts
from dcdnas.operators import Operator, counting, operators

__all__ = ["flops"]


def count_flops(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of one forward pass at batch 1 in eval mode; the module is left unchanged.

    Args:
        module: to be counted.
        shape: of its input without the batch axis.

    Raises:
        UncountedOperation: naming the operations that the counter does not know.
    """
    return _by_module(module, shape)[""]


def count_inside(module: nn.Module, shape: tuple[int, ...]) -> int:
    """As `count_flops`, but only of the submodules of the operator in `module`, without what the operator itself computes."""
    name, operator = next((n, m) for n, m in module.named_modules() if isinstance(m, Operator))
    counts = _by_module(module, shape)
    return sum(counts.get(f"{name}.{child}".lstrip("."), 0) for child, _ in operator.named_children())


def _by_module(module: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    parameter = next(module.parameters(), torch.empty(0))
    x = torch.zeros((1, *shape), dtype=parameter.dtype, device=parameter.device)
    with _evaluating(module), torch.no_grad(), counting():
        try:
            from dcdnas.cost._trace_counter import by_trace  # fvcore cannot be imported where torch.jit is gone

            return by_trace(module, x)
        except UncountedOperation:
            raise
        except Exception as error:
            problem = f"{type(error).__name__}: {error}".splitlines()[0]
        counts = by_dispatch(module, x)
    warnings.warn(
        f"Note: the multiply-adds of {type(module).__name__} were counted without fvcore, operation by operation as torch "
        f"dispatches them, because fvcore could not trace it ({problem}).",
        stacklevel=3,
    )
    return counts


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Sets eval mode, and restores each submodule's mode afterwards; removes hooks that fvcore leaves when a trace fails."""
    modes = {part: part.training for part in module.modules()}
    hooks = {part: (set(part._forward_pre_hooks), set(part._forward_hooks)) for part in modes}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
            for registered, before in zip((part._forward_pre_hooks, part._forward_hooks), hooks[part], strict=True):
                for key in set(registered) - before:
                    del registered[key]


def slot_flops(slot: Slot, choice: LayerChoice) -> int | None:
    """Multiply-adds of one slot in closed form; None where a measurement is needed.

    Raises:
        GeometryError: when the operator, its settings or its form do not fit the slot.
    """
    if not slot.searchable:
        return fixed_parts(slot).whole
    g, operator = slot.geometry, operators[choice.operator]
    settings = operator.resolve(g, **choice.settings)
    try:
        form = operator.checked_form(g, settings, choice.form)
        if choice.guide_channels:
            return operator.guided_multiply_adds(g, settings, form, choice.guide_channels)
        return operator.multiply_adds(g, settings, form)
    except NotImplementedError:
        return None


WORDS = ("flops", "flop", "macs", "mac", "madds", "madd", "multadds")

NOTATION = Notation(
    "flops",
    "FLOPs",
    counts("FLOPs", *WORDS, madds=1e6, madd=1e6),  # the papers' word: 300MAdds are 300 million
    words=WORDS,
    axis="FLOPs (multiply-adds)",
)

flops = Metric(NOTATION, "multiply-adds at batch 1", count_flops, of_slot=slot_flops)
