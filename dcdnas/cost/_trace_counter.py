"""The counter that determines prices: fvcore, which traces a module, with dcdnas's handles for what it miscounts or skips.

fvcore's own handles are not used where they are wrong: its matmul multiplies the wrong sizes when one operand is broadcast and
fails on vectors, its baddbmm returns 0, its einsum is an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import conv_flop_jit, get_shape
from torch import Tensor, nn

from dcdnas.cost._operations import (
    BILINEAR_TAPS,
    NOT_COUNTED,
    PRODUCTS,
    VIEWS,
    UncountedOperation,
    einsum_multiply_adds,
    unknown_operations,
    unmarked_product,
)

Handle = Callable[[list[Any], list[Any]], Any]
"""Function from the (inputs, outputs) of a node, as `torch._C.Value`, to its multiply-adds."""


def matmul(inputs: list[Any], outputs: list[Any]) -> int:
    """Any (broadcast) product of matrices or vectors: one multiply-add per element of the result and inner index."""
    return _size(outputs[0]) * _shape(inputs[0])[-1]


def baddbmm(inputs: list[Any], outputs: list[Any]) -> int:
    """A matrix product added to something: the addition is free."""
    return _size(outputs[0]) * _shape(inputs[1])[-1]


def linear(inputs: list[Any], outputs: list[Any]) -> int:
    """A linear layer: one multiply-add per element of the result and input feature."""
    return _size(outputs[0]) * _shape(inputs[0])[-1]


def convolution_mode(inputs: list[Any], outputs: list[Any]) -> int:
    """A convolution whose padding is given as a word: one multiply-add per weight and output pixel."""
    return _size(inputs[1]) * math.prod(_shape(outputs[0])[2:]) * _shape(outputs[0])[0]


def product(inputs: list[Any], outputs: list[Any]) -> int:
    """A marked product: one multiply-add per element of the result."""
    return _size(outputs[0])


def bilinear(inputs: list[Any], outputs: list[Any]) -> int:
    """A bilinear interpolation: one multiply-add for each input pixel that is weighted."""
    return BILINEAR_TAPS * _size(outputs[0])


def einsum(inputs: list[Any], outputs: list[Any]) -> int:
    """See `einsum_multiply_adds`."""
    return einsum_multiply_adds(inputs[0].toIValue(), [_shape(operand) for operand in inputs[1].node().inputs()])


def unmarked(inputs: list[Any], outputs: list[Any]) -> int:
    """Scaling by a number, arithmetic on sizes and products that fold into the weights are free; others must be marked.

    Raises:
        UncountedOperation: for a product or quotient of two tensors that depends on the network's input.
    """
    a, b = inputs[:2]
    if not outputs[0].type().dtype().is_floating_point or _number(a) or _number(b) or (_static(a) and _static(b)):
        return 0
    raise unmarked_product(a.node().kind(), b.node().kind())


def scatter(inputs: list[Any], outputs: list[Any]) -> int:
    """Moving values is free.

    Raises:
        UncountedOperation: when it also multiplies them.
    """
    if len(inputs) > 4:
        raise UncountedOperation("the FLOP counter does not count scatter with `reduce`. Scatter first, then multiply.")
    return 0


def hidden(inputs: list[Any], outputs: list[Any]) -> int:
    """Refuses operations that fvcore would skip without looking inside."""
    raise UncountedOperation("the FLOP counter cannot look into a scripted module or its control flow. Write it as plain Python.")


def _shape(value: Any) -> list[int]:
    return list(get_shape(value))


def _size(value: Any) -> int:
    return math.prod(_shape(value))


def _number(value: Any) -> bool:
    """A Python number, a tensor's size, or a tensor without axes that does not depend on the input (a temperature)."""
    if not value.isCompleteTensor():
        return True
    return not _shape(value) and (not value.type().dtype().is_floating_point or _static(value))


def _static(value: Any) -> bool:
    """Whether `value` comes from parameters, buffers and constants alone, so that it can be computed once and folded."""
    waiting, seen = [value], set()
    while waiting:
        value = waiting.pop()
        name, node = value.debugName(), value.node()
        if name in seen:
            continue
        seen.add(name)
        if node.kind() == "prim::Param" and name == next(node.outputs()).debugName():
            return False  # the first parameter of a trace is the network's input
        if _written(value):
            return False
        waiting.extend(node.inputs() if node.kind() != "prim::Param" else ())
    return True


def _written(value: Any) -> bool:
    """Whether anything is written into `value`, or into a view of it, which a trace does not follow."""
    users = [use.user for use in value.uses()]
    return any(user.kind().endswith("_") or (user.kind() in VIEWS and _written(next(user.outputs()))) for user in users)


HANDLES: dict[str, Handle | None] = {
    **dict.fromkeys(sorted(NOT_COUNTED)),
    **dict.fromkeys(sorted(PRODUCTS), unmarked),
    **dict.fromkeys(("prim::If", "prim::Loop", "prim::CallMethod"), hidden),
    "aten::_convolution": conv_flop_jit,
    "aten::_convolution_mode": convolution_mode,
    "aten::matmul": matmul,
    "aten::mm": matmul,
    "aten::bmm": matmul,
    "aten::mv": matmul,
    "aten::dot": matmul,
    "aten::baddbmm": baddbmm,
    "aten::addmm": baddbmm,
    "aten::addmv": baddbmm,
    "aten::linear": linear,
    "aten::einsum": einsum,
    "aten::scatter": scatter,
    "aten::scatter_": scatter,
    "aten::upsample_bilinear2d": bilinear,
    "dcdnas::product": product,
}


def by_trace(module: nn.Module, x: Tensor) -> dict[str, int]:
    """Returns the multiply-adds of one traced forward pass, for each submodule by its path; the module itself is ``""``.

    Raises:
        UncountedOperation: naming the operations that the counter does not know.
    """
    analysis = FlopCountAnalysis(module, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none").clear_op_handles()
    for operation, handle in HANDLES.items():
        analysis.set_op_handle(operation, handle)
    counts = {name: int(count) for name, count in analysis.by_module().items()}
    unknown = set(analysis.unsupported_ops()) - NOT_COUNTED
    if unknown:
        raise unknown_operations(unknown, module)
    return counts
