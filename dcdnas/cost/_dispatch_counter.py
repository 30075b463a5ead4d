"""The fallback counter for modules that torch cannot trace: it counts the operations that torch dispatches in one pass.

It has the same rules as the trace (`_operations`) and gives the same counts, which tests verify for every operator, form and
backbone. It differs in what it sees: the dispatcher splits compound operations into their parts (a linear layer arrives as
`addmm`), and it looks into scripted functions and autograd functions, which a trace refuses.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from dcdnas.cost._observer import Observer
from dcdnas.cost._operations import (
    BILINEAR_TAPS,
    NOT_COUNTED,
    PRODUCTS,
    einsum_multiply_adds,
    names,
    unknown_operations,
    unmarked_product,
)

PARTS = names(
    "_adaptive_avg_pool2d _local_scalar_dense _log_softmax _prelu_kernel _softmax _to_copy _unsafe_view aminmax as_strided "
    "cudnn_batch_norm native_batch_norm native_group_norm native_layer_norm reflection_pad2d replication_pad2d scalar_tensor "
    "scatter scatter_"
)
"""Free operations whose dispatched name differs from the one in a trace."""

COUNTS: Mapping[str, Callable[[Sequence[Any], Tensor], int]] = {
    "aten::convolution": lambda args, out: args[1].numel() * _pixels(args, out) * out.shape[0],
    **dict.fromkeys(names("mm bmm mv dot"), lambda args, out: out.numel() * args[0].shape[-1]),
    **dict.fromkeys(names("addmm addmv baddbmm"), lambda args, out: out.numel() * args[1].shape[-1]),
    "aten::upsample_bilinear2d": lambda args, out: BILINEAR_TAPS * out.numel(),
    "dcdnas::product": lambda args, out: out.numel(),
}
"""For each counted operation, a function from (arguments, result) to multiply-adds."""


def by_dispatch(module: nn.Module, x: Tensor) -> dict[str, int]:
    """Counts multiply-adds as `by_trace` does, without a trace.

    Raises:
        UncountedOperation: naming the operations that the counter does not know.
    """
    counter = DispatchCounter(module, x)
    handles = [handle for name, part in module.named_modules() for handle in counter.follow(name, part)]
    try:
        with counter, _Compounds(counter):
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    if counter.unknown:
        raise unknown_operations(counter.unknown, module)
    return {name: counter.counts[name] for name, _ in module.named_modules()}


class DispatchCounter(Observer):
    """Counts the multiply-adds of the operations that are dispatched while it is active.

    Args:
        module: whose submodules are counted separately.
        x: its input, on which unmarked products must not depend.
    """

    def __init__(self, module: nn.Module, x: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()
        self.unknown: set[str] = set()
        self._counts_parts = True
        self._running: list[str] = []
        self._dependent: WeakSet[Any] = WeakSet([x.untyped_storage()])

    def follow(self, name: str, part: nn.Module) -> tuple[Any, Any]:
        """Registers hooks that assign the operations between them to a submodule; the caller removes them."""

        def enter(*_: object) -> None:
            self._running.append(name)

        def leave(*_: object) -> None:
            self._running.pop()

        return part.register_forward_pre_hook(enter), part.register_forward_hook(leave)

    def add(self, count: int) -> None:
        """Adds a count to the module that is running and to all modules that contain it."""
        path = self._running[-1].split(".")
        self.counts.update({".".join(path[:end]): count for end in range(len(path) + 1)})

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops counting and refusing within this context; which tensors depend on the input is still tracked."""
        self._counts_parts = False
        try:
            yield
        finally:
            self._counts_parts = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and counts it."""
        kwargs = kwargs or {}
        operands = _tensors((args, kwargs))
        written = [value for argument, value in zip(func._schema.arguments, args, strict=False) if argument.is_write]
        self._depends_from_here(_tensors(written))
        out = func(*args, **kwargs)
        if any(map(self._depends, operands)):
            self._depends_from_here(_tensors(out))
        if self._counts_parts:
            self._count(func, args, out)
        return out

    def _count(self, func: Any, args: Sequence[Any], out: Any) -> None:
        name = func._schema.name
        if name in COUNTS:
            self.add(COUNTS[name](args, out))
        elif name in PRODUCTS:
            self._check_product(args, out)
        elif name not in NOT_COUNTED | PARTS or "reduce" in func._overloadname:  # scatter that multiplies
            self.unknown.add(name)

    def _check_product(self, args: Sequence[Any], out: Tensor) -> None:
        """Refuses an unmarked product, see `unmarked` of the trace."""
        a, b = args[:2]
        folds = not self._depends(a) and not self._depends(b)
        if out.is_floating_point() and not (folds or self._is_number(a) or self._is_number(b)):
            raise unmarked_product(*(f"{value.dtype} {tuple(value.shape)}" for value in (a, b)))

    def _is_number(self, value: Any) -> bool:
        if not isinstance(value, Tensor):
            return True
        return not value.dim() and not (value.is_floating_point() and self._depends(value))

    def _depends(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.untyped_storage() in self._dependent

    def _depends_from_here(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            self._dependent.add(tensor.untyped_storage())


class _Compounds(TorchFunctionMode):
    """Counts or refuses compound functions as a whole, as a trace does; the dispatcher would only show their parts."""

    def __init__(self, counter: DispatchCounter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls a torch function, and counts or refuses it if it is compound."""
        if func is F.scaled_dot_product_attention:
            self._counter.unknown.add("aten::scaled_dot_product_attention")
        if func is not torch.einsum:
            return func(*args, **(kwargs or {}))
        self._counter.add(einsum_multiply_adds(args[0], [operand.shape for operand in _tensors(args[1:])]))
        with self._counter.paused():
            return func(*args)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _pixels(args: Sequence[Any], out: Tensor) -> int:
    """Pixels of a convolution's output, or of a transposed one's input: each weight is applied to each of them once."""
    return math.prod((args[0] if args[6] else out).shape[2:])
