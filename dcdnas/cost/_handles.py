"""What the FLOP counter makes of each operation in a trace: a number of multiply-adds, nothing, or an error.

fvcore's own handles are not used where they are wrong: its matmul multiplies the wrong sizes when one side is broadcast and
fails on vectors, its baddbmm reads 0, its einsum is an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fvcore.nn.jit_handles import conv_flop_jit, get_shape

from dcdnas.errors import DcdnasError

Handle = Callable[[list[Any], list[Any]], Any]
"""(inputs, outputs) of a node, as `torch._C.Value`, to its multiply-adds."""


class UncountedOperation(DcdnasError):
    """The network runs an operation that the FLOP counter does not know."""


def matmul(inputs: list[Any], outputs: list[Any]) -> int:
    """Any (broadcast) product of matrices or vectors: one multiply-add a result's element and inner index."""
    return _size(outputs[0]) * _shape(inputs[0])[-1]


def baddbmm(inputs: list[Any], outputs: list[Any]) -> int:
    """A matrix product added to something: the addition is free."""
    return _size(outputs[0]) * _shape(inputs[1])[-1]


def linear(inputs: list[Any], outputs: list[Any]) -> int:
    """One multiply-add a result's element and input feature."""
    return _size(outputs[0]) * _shape(inputs[0])[-1]


def convolution_mode(inputs: list[Any], outputs: list[Any]) -> int:
    """A convolution whose padding is a word: one multiply-add a weight and output pixel."""
    return _size(inputs[1]) * math.prod(_shape(outputs[0])[2:]) * _shape(outputs[0])[0]


def product(inputs: list[Any], outputs: list[Any]) -> int:
    """A marked product: one multiply-add an element of the result."""
    return _size(outputs[0])


def einsum(inputs: list[Any], outputs: list[Any]) -> int:
    """Exact for two operands: an index that only one of them has, and the result has not, is summed beforehand.

    Raises:
        UncountedOperation: for three operands or more, whose count depends on the order of contraction.
    """
    equation, operands = inputs[0].toIValue().replace(" ", ""), list(inputs[1].node().inputs())
    if len(operands) == 1:
        return 0
    left, _, right = equation.partition("->")
    terms = left.split(",")
    if len(operands) > 2 or "..." in equation or any(len(set(term)) < len(term) for term in terms):
        raise UncountedOperation(
            f"the FLOP counter does not count einsum {equation!r}. Allowed: two operands, letters only, none twice in an "
            "operand. Write it as several einsum or torch.matmul."
        )
    result = right if "->" in equation else "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    sizes = [dict(zip(term, _shape(operand), strict=True)) for term, operand in zip(terms, operands, strict=True)]
    both = {c: max(size.get(c, 1) for size in sizes) for c in set(left) - {","}}
    return math.prod(n for c, n in both.items() if c in result or all(size.get(c, 1) == n for size in sizes))


def unmarked(inputs: list[Any], outputs: list[Any]) -> int:
    """A scale by a number, arithmetic on sizes and what can be folded into the weights is free; the rest must be marked.

    Raises:
        UncountedOperation: for a product or quotient of two tensors that depends on the network's input.
    """
    a, b = inputs[:2]
    if not outputs[0].type().dtype().is_floating_point or _number(a) or _number(b) or (_static(a) and _static(b)):
        return 0
    raise UncountedOperation(
        f"the FLOP counter met an unmarked product of two tensors ({a.node().kind()} and {b.node().kind()}). "
        "Write it with dcdnas.operators.product, which is counted; a quotient as a product with the reciprocal."
    )


def scatter(inputs: list[Any], outputs: list[Any]) -> int:
    """Moving values is free.

    Raises:
        UncountedOperation: when it also multiplies them.
    """
    if len(inputs) > 4:
        raise UncountedOperation("the FLOP counter does not count scatter with `reduce`. Scatter first, then multiply.")
    return 0


def hidden(inputs: list[Any], outputs: list[Any]) -> int:
    """Refuses what fvcore would pass over without looking inside."""
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


def _names(words: str) -> frozenset[str]:
    return frozenset(f"aten::{word}" for word in words.split())


SUMS = _names("add add_ sub sub_ rsub neg neg_ abs mean sum cumsum index_add index_add_ scatter_add scatter_add_ col2im")
ACTIVATIONS = _names(
    "relu relu_ relu6 relu6_ leaky_relu leaky_relu_ elu elu_ prelu hardtanh hardtanh_ hardswish hardswish_ hardsigmoid "
    "hardsigmoid_ sigmoid sigmoid_ tanh tanh_ silu silu_ gelu gelu_ mish mish_ softplus softmax log_softmax exp exp_ log "
    "clamp clamp_ clamp_min clamp_min_ clamp_max clamp_max_ dropout dropout_ feature_dropout"
)
NORMALISATIONS = _names(
    "batch_norm layer_norm group_norm instance_norm var std sqrt sqrt_ rsqrt rsqrt_ reciprocal reciprocal_ linalg_vector_norm"
)
POOLING = _names("adaptive_avg_pool2d avg_pool2d max_pool2d adaptive_max_pool2d max_pool2d_with_indices")
COMPARISONS = _names(
    "max min amax amin argmax argmin maximum minimum topk sort argsort eq ne lt le gt ge where masked_fill masked_fill_ "
    "one_hot logical_and logical_or logical_not bitwise_not bitwise_and bitwise_or __and__ __or__ floor ceil round sign "
    "nonzero isnan"
)
MOVES = _names(
    "Int ScalarImplicit arange alias broadcast_to cat channel_shuffle chunk clone concat constant_pad_nd contiguous copy_ "
    "detach empty expand expand_as eye fill_ flatten flip full full_like gather im2col index index_put_ index_select "
    "lift_fresh linspace masked_select movedim narrow native_channel_shuffle new_empty new_full new_ones new_zeros numel "
    "numpy_T ones ones_like pad permute pixel_shuffle pixel_unshuffle repeat repeat_interleave reshape reshape_as roll "
    "select size slice split split_with_sizes squeeze squeeze_ stack swapaxes t tensor_split tile to transpose tril triu "
    "type_as unbind unflatten unfold unsqueeze unsqueeze_ upsample_nearest2d view view_as zero_ zeros zeros_like"
)

VIEWS = _names(
    "alias expand expand_as flatten movedim narrow permute reshape select slice squeeze swapaxes t transpose unflatten unsqueeze "
    "view view_as"
)

NOT_COUNTED = SUMS | ACTIVATIONS | NORMALISATIONS | POOLING | COMPARISONS | MOVES
"""Operations without a product, and those whose arithmetic the papers leave out."""

PRODUCTS = _names(
    "mul mul_ multiply multiply_ div div_ divide divide_ true_divide true_divide_ floor_divide floor_divide_ remainder remainder_"
)
"""Elementwise products and quotients, which must be marked unless they are free."""

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
    "dcdnas::product": product,
}
