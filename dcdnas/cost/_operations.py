"""Rules of both FLOP counters: which operations are free, which must be marked, and how an einsum is counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import nn

from dcdnas.errors import DcdnasError


class UncountedOperation(DcdnasError):
    """The network runs an operation that the FLOP counter does not know."""


def unknown_operations(operations: Iterable[str], module: nn.Module) -> UncountedOperation:
    """Returns the error that names the operations of `module` that the counters do not know."""
    return UncountedOperation(
        f"the FLOP counter does not know {', '.join(sorted(operations))} in {type(module).__name__}. Write a product that "
        "builds or applies an input-dependent quantity with dcdnas.operators.product, and matrix products with torch.matmul."
    )


def unmarked_product(a: str, b: str) -> UncountedOperation:
    """Returns the error for an unmarked product or quotient, described by `a` and `b`, that depends on the input."""
    return UncountedOperation(
        f"the FLOP counter met an unmarked product of two tensors ({a} and {b}). "
        "Write it with dcdnas.operators.product, which is counted; a quotient as a product with the reciprocal."
    )


def einsum_multiply_adds(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """Counts an einsum of two operands, exactly: an index of only one operand, not in the result, is summed beforehand.

    Raises:
        UncountedOperation: for three operands or more, whose count depends on the order of contraction.
    """
    equation = equation.replace(" ", "")
    if len(shapes) == 1:
        return 0
    left, _, right = equation.partition("->")
    terms = left.split(",")
    if len(shapes) > 2 or "..." in equation or any(len(set(term)) < len(term) for term in terms):
        raise UncountedOperation(
            f"the FLOP counter does not count einsum {equation!r}. Allowed: two operands, letters only, none twice in an "
            "operand. Write it as several einsum or torch.matmul."
        )
    result = right if "->" in equation else "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    sizes = [dict(zip(term, shape, strict=True)) for term, shape in zip(terms, shapes, strict=True)]
    both = {c: max(size.get(c, 1) for size in sizes) for c in set(left) - {","}}
    return math.prod(n for c, n in both.items() if c in result or all(size.get(c, 1) == n for size in sizes))


def names(words: str) -> frozenset[str]:
    """Full names of torch operations: ``"add sub"`` gives ``aten::add`` and ``aten::sub``."""
    return frozenset(f"aten::{word}" for word in words.split())


SUMS = names("add add_ sub sub_ rsub neg neg_ abs mean sum cumsum index_add index_add_ scatter_add scatter_add_ col2im")
ACTIVATIONS = names(
    "relu relu_ relu6 relu6_ leaky_relu leaky_relu_ elu elu_ prelu hardtanh hardtanh_ hardswish hardswish_ hardsigmoid "
    "hardsigmoid_ sigmoid sigmoid_ tanh tanh_ silu silu_ gelu gelu_ mish mish_ softplus softmax log_softmax exp exp_ log "
    "clamp clamp_ clamp_min clamp_min_ clamp_max clamp_max_ dropout dropout_ feature_dropout"
)
NORMALISATIONS = names(
    "batch_norm layer_norm group_norm instance_norm var std sqrt sqrt_ rsqrt rsqrt_ reciprocal reciprocal_ linalg_vector_norm"
)
POOLING = names("adaptive_avg_pool2d avg_pool2d max_pool2d adaptive_max_pool2d max_pool2d_with_indices")
COMPARISONS = names(
    "max min amax amin argmax argmin maximum minimum topk sort argsort eq ne lt le gt ge where masked_fill masked_fill_ "
    "one_hot logical_and logical_or logical_not bitwise_not bitwise_and bitwise_or __and__ __or__ floor ceil round sign "
    "nonzero isnan"
)
MOVES = names(
    "Int ScalarImplicit arange alias broadcast_to cat channel_shuffle chunk clone concat constant_pad_nd contiguous copy_ "
    "detach empty expand expand_as eye fill_ flatten flip full full_like gather im2col index index_put_ index_select "
    "lift_fresh linspace masked_select movedim narrow native_channel_shuffle new_empty new_full new_ones new_zeros numel "
    "numpy_T ones ones_like pad permute pixel_shuffle pixel_unshuffle repeat repeat_interleave reshape reshape_as roll "
    "select size slice split split_with_sizes squeeze squeeze_ stack swapaxes t tensor_split tile to transpose tril triu "
    "type_as unbind unflatten unfold unsqueeze unsqueeze_ upsample_nearest2d view view_as zero_ zeros zeros_like"
)

VIEWS = names(
    "alias expand expand_as flatten movedim narrow permute reshape select slice squeeze swapaxes t transpose unflatten unsqueeze "
    "view view_as"
)

NOT_COUNTED = SUMS | ACTIVATIONS | NORMALISATIONS | POOLING | COMPARISONS | MOVES
"""Operations without a product, and those that the papers do not count."""

BILINEAR_TAPS = 4
"""Input pixels that bilinear interpolation weights per output pixel; each is a multiply-add, as in a convolution."""

PRODUCTS = names(
    "mul mul_ multiply multiply_ div div_ divide divide_ true_divide true_divide_ floor_divide floor_divide_ remainder remainder_"
)
"""Elementwise products and quotients, which must be marked unless they are free."""
