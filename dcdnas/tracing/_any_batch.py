"""An ONNX model that was traced for one batch size, for any.

Tracing for a batch of unknown size takes three times as long, since each shape is an expression then, and computes shapes while
the model runs. So a network is traced at `TRACED` images, a prime that divides no number of channels, and wherever a shape is a
multiple of it afterwards, it is there for the batch. What is not clear is not touched: the model is refused, and is traced anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

TRACED = 1009
"""Images of the batch that a network is traced with."""


class FixedBatchError(Exception):
    """A model's batch size cannot be told from its other numbers, or is needed where no model can leave it open."""


def free_batch(model: Any, name: str) -> None:
    """Lets a model that was traced at `TRACED` images take any batch size, in place.

    Args:
        model: an `onnx_ir.Model`, all of its constants initializers.
        name: of the batch's axis.

    Raises:
        FixedBatchError: when it is not clear how; then the model is of no use.
    """
    if model.functions:
        raise FixedBatchError("the model has functions")
    for node in model.graph:
        if node.op_type == "Reshape":
            _free_reshape(model.graph, node)
    for value in model.graph.initializers.values():
        value.shape = value.const_value.shape  # of an expansion that is none any more
        if value.uses() and (_mentions(value.shape) or _mentions(_whole_numbers(value))):
            raise FixedBatchError(f"the constant {value.name}")
    for node in model.graph:
        if any(_mentions(attribute.value) for attribute in node.attributes.values()):
            raise FixedBatchError(f"an attribute of {node.name} ({node.op_type})")
    for value in [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]:
        _free_shape(value, name)


def shrink_expansions(model: Any) -> None:
    """Leaves what is the same for all images of the batch as one, before constants are computed; nodes broadcast it.

    Args:
        model: an `onnx_ir.Model` that was traced at `TRACED` images.
    """
    for number, node in enumerate(model.graph):
        before, after = node.inputs[0].shape if node.inputs else None, node.outputs[0].shape
        if node.op_type == "Expand" and before and after and _mentions(after) and not _mentions(before):
            one = [1 if size == TRACED else size for size in after]
            node.replace_input_with(1, whole_numbers(model.graph, f"expansion_{number}_shape", one))


def whole_numbers(graph: Any, name: str, numbers: Sequence[int]) -> Any:
    """A new constant of a graph: a vector of whole numbers."""
    import onnx_ir as ir

    tensor = ir.tensor(list(numbers), dtype=ir.DataType.INT64, name=name)
    made = ir.Value(name=name, const_value=tensor, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([len(numbers)]))
    graph.register_initializer(made)
    return made


def _free_reshape(graph: Any, node: Any) -> None:
    """Writes -1 for the axis of the new shape that has the batch, where there is one and no other."""
    shape = node.outputs[0].shape
    if shape is None or not shape.is_static() or not _mentions(_whole_numbers(node.inputs[1])):
        return
    free = [-1 if _mentions([size]) else size for size in shape]
    if free.count(-1) == 1:
        node.replace_input_with(1, whole_numbers(graph, f"{node.outputs[0].name}_any_batch", free))


def _whole_numbers(value: Any) -> list[int]:
    """What a constant of whole numbers holds; nothing for other values."""
    import onnx_ir as ir

    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None or tensor.dtype != ir.DataType.INT64:
        return []
    return list(map(int, tensor.numpy().reshape(-1)))


def _free_shape(value: Any, name: str) -> None:
    """Names the batch's axis, and leaves axes open that hold the batch and more."""
    import onnx_ir as ir

    if value.shape is not None and _mentions(value.shape):
        value.shape = ir.Shape([name if size == TRACED else None if _mentions([size]) else size for size in value.shape])


def _mentions(numbers: Any) -> bool:
    """Whether a number, or one of several, is a multiple of the traced batch."""
    if not isinstance(numbers, Iterable) or isinstance(numbers, str):
        numbers = (numbers,)
    return any(isinstance(number, int) and number and number % TRACED == 0 for number in numbers)
