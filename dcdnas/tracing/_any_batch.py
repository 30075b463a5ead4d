"""Generalises an ONNX model that was traced at one batch size to any batch size.

Tracing with a symbolic batch size takes three times as long, because every shape is then an expression, and the model computes
shapes when it runs. Instead, a network is traced at `TRACED` images, a prime that divides no number of channels, so that any size
that is a multiple of it comes from the batch. Where that is ambiguous the model is refused, and the caller traces it with a
symbolic batch size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

TRACED = 1009
"""Number of images in the batch that a network is traced with."""


class FixedBatchError(Exception):
    """A model's batch size is not distinguishable from its other numbers, or appears where ONNX needs a constant."""


def free_batch(model: Any, name: str) -> None:
    """Changes a model that was traced at `TRACED` images so that it takes any batch size, in place.

    Args:
        model: an `onnx_ir.Model` whose constants are all initializers.
        name: name of the batch axis.

    Raises:
        FixedBatchError: when the batch size is ambiguous; the model is then unusable.
    """
    if model.functions:
        raise FixedBatchError("the model has functions")
    for node in model.graph:
        if node.op_type == "Reshape":
            _free_reshape(model.graph, node)
    for value in model.graph.initializers.values():
        value.shape = value.const_value.shape  # the recorded shape may predate `shrink_expansions`
        if value.uses() and (_mentions(value.shape) or _mentions(_whole_numbers(value))):
            raise FixedBatchError(f"the constant {value.name}")
    for node in model.graph:
        if any(_mentions(attribute.value) for attribute in node.attributes.values()):
            raise FixedBatchError(f"an attribute of {node.name} ({node.op_type})")
    for value in [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]:
        _free_shape(value, name)


def shrink_expansions(model: Any) -> None:
    """Keeps tensors that are equal for all images at batch size 1 instead of expanding them; later nodes broadcast them.

    Has to run before constants are folded.

    Args:
        model: an `onnx_ir.Model` that was traced at `TRACED` images.
    """
    for number, node in enumerate(model.graph):
        before, after = node.inputs[0].shape if node.inputs else None, node.outputs[0].shape
        if node.op_type == "Expand" and before and after and _mentions(after) and not _mentions(before):
            one = [1 if size == TRACED else size for size in after]
            node.replace_input_with(1, whole_numbers(model.graph, f"expansion_{number}_shape", one))


def whole_numbers(graph: Any, name: str, numbers: Sequence[int]) -> Any:
    """Adds a constant to a graph: a vector of integers."""
    import onnx_ir as ir

    tensor = ir.tensor(list(numbers), dtype=ir.DataType.INT64, name=name)
    made = ir.Value(name=name, const_value=tensor, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([len(numbers)]))
    graph.register_initializer(made)
    return made


def _free_reshape(graph: Any, node: Any) -> None:
    """Replaces the batch axis in the target shape of a Reshape by -1, if exactly one axis depends on the batch."""
    shape = node.outputs[0].shape
    if shape is None or not shape.is_static() or not _mentions(_whole_numbers(node.inputs[1])):
        return
    free = [-1 if _mentions([size]) else size for size in shape]
    if free.count(-1) == 1:
        node.replace_input_with(1, whole_numbers(graph, f"{node.outputs[0].name}_any_batch", free))


def _whole_numbers(value: Any) -> list[int]:
    """Values of an integer constant; empty for other values."""
    import onnx_ir as ir

    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None or tensor.dtype != ir.DataType.INT64:
        return []
    return list(map(int, tensor.numpy().reshape(-1)))


def _free_shape(value: Any, name: str) -> None:
    """Names the batch axis of a value, and leaves the size of axes open that are a larger multiple of the batch."""
    import onnx_ir as ir

    if value.shape is not None and _mentions(value.shape):
        value.shape = ir.Shape([name if size == TRACED else None if _mentions([size]) else size for size in value.shape])


def _mentions(numbers: Any) -> bool:
    """Whether a number, or one of several, is a multiple of the traced batch."""
    if not isinstance(numbers, Iterable) or isinstance(numbers, str):
        numbers = (numbers,)
    return any(isinstance(number, int) and number and number % TRACED == 0 for number in numbers)
