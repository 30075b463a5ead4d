"""Convolutions with one kernel per sample in an ONNX model for any batch size: a `Scan` over the samples.

Traced at `TRACED` images, such a layer is one convolution with the batch folded into its groups, whose number is a constant in
ONNX. One convolution per sample works for any batch size, and in onnxruntime it is several times as fast as products with shifted
maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dcdnas.tracing._any_batch import TRACED, whole_numbers


def go_through_samples(model: Any) -> None:
    """Replaces each convolution that has the batch in its groups by a `Scan`.

    Args:
        model: an `onnx_ir.Model` that was traced at `TRACED` images.
    """
    for number, node in enumerate(list(model.graph)):
        plain = node.op_type == "Conv" and len(node.inputs) == 2 and "group" in node.attributes
        if plain and node.attributes["group"].value % TRACED == 0:
            _replace(model.graph, node, f"each_sample_{number}")


def _replace(graph: Any, node: Any, name: str) -> None:
    """Replaces a convolution (1, N C, H, W) -> (1, N D, H', W') by a `Scan` that convolves one sample at a time."""
    import onnx_ir as ir
    from onnx_ir import convenience

    x, weight = node.inputs
    one_map, one_kernel = [1, x.shape[1] // TRACED, *x.shape[2:]], [weight.shape[0] // TRACED, *weight.shape[1:]]
    made, inside = [], []
    for value, each, part in ((x, one_map, "map"), (weight, one_kernel, "kernel")):
        made.append(_reshaped(graph, value, [TRACED, *each], f"{name}_{part}"))
        inside.append(ir.Value(name=f"{name}_{part}_one", type=value.type, shape=ir.Shape(each)))
    attributes = [a for a in node.attributes.values() if a.name != "group"]
    groups = ir.AttrInt64("group", node.attributes["group"].value // TRACED)
    one = ir.Node("", "Conv", inside, [*attributes, groups], num_outputs=1, name=f"{name}_conv")
    after = node.outputs[0]
    _, together, *map_sizes = after.shape
    _say(one.outputs[0], f"{name}_y_one", after.type, [1, together // TRACED, *map_sizes])
    body = ir.Graph(inside, one.outputs, nodes=[one], name=f"{name}_body")
    over = [ir.AttrGraph("body", body), ir.AttrInt64("num_scan_inputs", len(made))]
    scan = ir.Node("", "Scan", [m.outputs[0] for m in made], over, num_outputs=1, name=name)
    _say(scan.outputs[0], f"{name}_y", after.type, [TRACED, 1, together // TRACED, *map_sizes])
    back = _reshaped(graph, scan.outputs[0], list(after.shape), f"{name}_back")
    graph.insert_before(node, [*made, scan, back])
    convenience.replace_all_uses_with(after, back.outputs[0])
    graph.remove(node, safe=True)


def _reshaped(graph: Any, value: Any, shape: Sequence[int], name: str) -> Any:
    """Makes a Reshape node."""
    import onnx_ir as ir

    node = ir.Node("", "Reshape", [value, whole_numbers(graph, f"{name}_shape", shape)], num_outputs=1, name=name)
    _say(node.outputs[0], f"{name}_view", value.type, shape)
    return node


def _say(value: Any, name: str, kind: Any, shape: Sequence[int]) -> None:
    """Sets the name, type and shape of a value."""
    import onnx_ir as ir

    value.name, value.type, value.shape = name, kind, ir.Shape(list(shape))
