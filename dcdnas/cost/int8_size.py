"""Size in eight bits: the bytes that the weights take in the ONNX model of `dcdnas export --quantize int8`."""

from __future__ import annotations

import copy
from functools import cache
from itertools import chain

from torch import Tensor, nn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.units import BYTES, Notation
from dcdnas.cost._base import Metric
from dcdnas.cost._kept import kept
from dcdnas.cost._meta import shapes_only, with_memory
from dcdnas.networks import Slot, deployed
from dcdnas.operators import Operator

__all__ = ["int8_size"]

SCALE = 4 + 1
"""Bytes of a scale and a zero point, beside the weights that share them."""

BIAS = 4 + 4 + 4
"""Bytes per element of a bias: its 32 bits, its scale and its zero point."""


def count_int8(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Counts the bytes of the deployed module's weights in eight bits; `shape` is ignored.

    BatchNorms are folded into the convolutions. A weight takes a byte, a bias 32 bits. Weights have a scale and a zero point for
    each output channel; a bank of kernels that are mixed into one kernel has a pair for each weight of that kernel, and a kernel
    to which a computed one is added has a single pair. The scales of feature maps and the graph are left out.
    """
    return sum(
        _stored(part, name, tensor)
        for part in _deployed(module).modules()
        for name, tensor in chain(part.named_parameters(recurse=False), part.named_buffers(recurse=False))
    )


def _deployed(module: nn.Module) -> nn.Module:
    try:
        return deployed(copy.deepcopy(module).eval())
    except (NotImplementedError, RuntimeError):  # folding that reads tensor values
        return deployed(with_memory(module).eval())


def _stored(part: nn.Module, name: str, tensor: Tensor) -> int:
    """Bytes of one tensor of a module: a vector, a matrix, a kernel, or a bank (kernels, output channels, weights of each)."""
    bank = getattr(part, "weight", tensor).ndim == 3
    if not bank and name in ("weight", "bias") and _added_to(part):
        return tensor.numel() + SCALE * (name == "weight")
    if tensor.ndim < 2:  # a bias that is no convolution's is quantised like a map
        own = name == "bias" and not bank and not (isinstance(part, Operator) and part.ADDS_BIAS)
        return tensor.numel() * (BIAS if own else 1)
    if not bank or name != "weight":
        return tensor.numel() + SCALE * tensor.shape[0]
    kernels, channels, _ = tensor.shape
    return tensor.numel() + SCALE * (tensor[0].numel() if kernels > 1 and not _convolved(part) else kernels * channels)


def _added_to(part: nn.Module) -> bool:
    """Whether a computed kernel is added to the weight, which then has one scale, and its bias is quantised like a map."""
    return isinstance(part, Operator) and part.form == "kernel"


def _convolved(part: nn.Module) -> bool:
    """Whether each kernel of a bank is convolved with the input, so that maps are mixed instead of kernels."""
    return isinstance(part, Operator) and part.form == "mix" and "aggregate" in part.FORMS


def slot_int8(slot: Slot, choice: LayerChoice) -> int:
    """Counts the bytes of one slot, on a module without memory, because only shapes and the form matter."""
    return _int8(Slot(slot.kind, slot.geometry, slot.kind, variant=slot.variant), choice)


@cache
def _int8(slot: Slot, choice: LayerChoice) -> int:
    return kept("int8-size", slot, choice, lambda: count_int8(shapes_only(slot, choice), ()))


NOTATION = Notation("int8-size", "Size in int8", BYTES, implied=False)

int8_size = Metric(NOTATION, "bytes of weights in an eight-bit ONNX model", count_int8, of_slot=slot_int8)
