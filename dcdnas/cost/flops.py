"""FLOPs: multiply-adds at batch 1 of what the network runs in eval mode, measured by fvcore.

Counted, one each: convolutions, linear layers, matrix products, and every product that builds or applies an
input-dependent quantity (those go through `dcdnas.operators` `product`). Not counted, as in the papers: additions,
BatchNorm (it folds into the convolution), activations, pooling, softmax. Anything else is an error, never a silent zero.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import conv_flop_jit, get_shape
from torch import nn

from dcdnas.cost._base import Metric
from dcdnas.errors import DcdnasError
from dcdnas.operators._product import counting

__all__ = ["flops"]

NOT_COUNTED = frozenset(
    "aten::" + name
    for name in (
        "add add_ sub rsub neg abs mean sum amax std var sqrt rsqrt reciprocal exp clamp clamp_ clamp_min "
        "relu relu_ relu6 relu6_ hardtanh hardtanh_ hardswish hardswish_ hardsigmoid hardsigmoid_ sigmoid sigmoid_ softmax "
        "silu silu_ gelu tanh batch_norm layer_norm group_norm dropout dropout_ "
        "adaptive_avg_pool2d avg_pool2d max_pool2d adaptive_max_pool2d argmax max pad constant_pad_nd one_hot eq scatter scatter_ "
        "floor_divide gather index index_select copy_ fill_ zeros_like ones_like zeros ones to type_as"
    ).split()
)
"""Operations whose arithmetic the papers leave out."""


class UncountedOperation(DcdnasError):
    """The network runs an operation that the FLOP counter does not know."""


def count_flops(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of one forward pass at batch 1 in eval mode.

    Args:
        module: its mode is restored afterwards.
        shape: of the input without the batch axis.

    Raises:
        UncountedOperation: naming the operation that nobody counts.
    """
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    training = module.training
    module.eval()
    parameter = next(module.parameters(), torch.empty(0))
    x = torch.zeros((1, *shape), dtype=parameter.dtype, device=parameter.device)
    with torch.no_grad(), counting():
        analysis = FlopCountAnalysis(module, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none").clear_op_handles()
        for operation, handle in HANDLES.items():
            analysis.set_op_handle(operation, handle)
        total = int(analysis.total())
        unknown = set(analysis.unsupported_ops()) - NOT_COUNTED
    module.train(training)
    if unknown:
        raise UncountedOperation(
            f"the FLOP counter does not know {', '.join(sorted(unknown))} in {type(module).__name__}. Write a product that "
            "builds or applies an input-dependent quantity with dcdnas.operators.product, and matrix products with torch.matmul."
        )
    return total


def _matmul(inputs: list[Any], outputs: list[Any]) -> int:
    """Any (broadcast) matrix product: one multiply-add a result's element and inner index."""
    return math.prod(get_shape(outputs[0])) * int(get_shape(inputs[0])[-1])


def _baddbmm(inputs: list[Any], outputs: list[Any]) -> int:
    return math.prod(get_shape(outputs[0])) * int(get_shape(inputs[1])[-1])


def _linear(inputs: list[Any], outputs: list[Any]) -> int:
    return math.prod(get_shape(outputs[0])) * int(get_shape(inputs[0])[-1])


def _product(inputs: list[Any], outputs: list[Any]) -> int:
    return math.prod(get_shape(outputs[0]))


def _unmarked_product(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """A multiplication by a constant is an activation's or a scale's; one of two tensors must be marked."""
    if all(v.type().isSubtypeOf(torch._C.TensorType.get()) and v.node().kind() != "prim::Constant" for v in inputs[:2]):
        raise UncountedOperation(
            "the FLOP counter met an unmarked product of two tensors. Write it with dcdnas.operators.product, which is counted."
        )
    return Counter()


HANDLES: dict[str, Callable[..., Any] | None] = {
    "aten::_convolution": conv_flop_jit,
    "aten::matmul": _matmul,
    "aten::mm": _matmul,
    "aten::bmm": _matmul,
    "aten::baddbmm": _baddbmm,
    "aten::addmm": _baddbmm,
    "aten::linear": _linear,
    "dcdnas::product": _product,
    "aten::mul": _unmarked_product,
    "aten::mul_": _unmarked_product,
    **dict.fromkeys(sorted(NOT_COUNTED)),
}

flops = Metric("flops", "multiply-adds at batch 1", count_flops)
