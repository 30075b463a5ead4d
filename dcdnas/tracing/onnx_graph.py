"""A traced program as an ONNX model of few nodes.

The exporter's own optimiser matches some fifty patterns at each node, which takes more than half of an export's time, and
onnxruntime does the same when it loads the file. What onnxruntime needs and does not do itself is done here: constants are
computed, since an activation is fused into its convolution only when its bounds are constants, and views of views become one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram

from dcdnas.tracing._any_batch import free_batch, shrink_expansions, whole_numbers
from dcdnas.tracing._samples import go_through_samples

BATCH = "batch"
"""Name of the first axis."""

FOLDED = 2**31
"""Bytes that a constant may have, so that the views of all weights are computed; a view of one is a weight like others, which can
be written in eight bits."""

VIEWS = ("Reshape", "Squeeze", "Unsqueeze")
"""Nodes that say the shape anew and move nothing, with the shape or the axes as their second input."""


class _AsTraced(ExportedProgram):
    """A program whose operations are translated as they are.

    The exporter first traces a program anew to take operations apart, which is more than half of its time; those of our networks
    are among the ones that it can translate.
    """

    def run_decompositions(self, *_: Any, **__: Any) -> ExportedProgram:
        """Nothing is taken apart."""
        return self


Names = tuple[Sequence[str], Sequence[str]]
"""Of inputs and outputs."""

NAMES: Names = (("images",), ("logits",))


def as_onnx(program: ExportedProgram, metadata: Mapping[str, str], free: bool = False, names: Names = NAMES) -> Any:
    """The program as an `onnx.ModelProto`, with input ``images`` and output ``logits`` where no other names are given.

    Args:
        program: of a network, for one batch size or for any.
        metadata: kept in the model.
        free: whether a program that was traced at `TRACED` images shall take any number of them.
        names: of the inputs and outputs.

    Raises:
        FixedBatchError: when it cannot.
    """
    from onnx_ir import serde
    from onnx_ir.passes import Sequential, common
    from onnxscript.optimizer import fold_constants

    model = _translated(program, names).model
    if free:
        shrink_expansions(model)
    fold_constants(model, input_size_limit=FOLDED, output_size_limit=FOLDED)
    _drop_zero_biases(model)
    if free:
        go_through_samples(model)
    _join_views(model)
    Sequential(common.RemoveUnusedNodesPass(), common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0))(
        model
    )
    if free:
        free_batch(model, BATCH)
    Sequential(
        common.RemoveUnusedNodesPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedOpsetsPass(),
    )(model)
    model.metadata_props.update(metadata)
    return serde.serialize_model(model)


def _translated(program: ExportedProgram, names: Names) -> Any:
    """The program as the exporter translates it, taken apart only where that is needed."""
    plain = copy.copy(program)
    plain.__class__ = _AsTraced
    try:
        return _exported(plain, names)
    except torch.onnx.OnnxExporterError:  # of an operation that it does not know
        return _exported(program, names)


def _exported(program: ExportedProgram, names: Names) -> Any:
    return torch.onnx.export(
        program, (), dynamo=True, verbose=False, optimize=False, input_names=names[0], output_names=names[1],
        dynamic_shapes=({0: torch.export.Dim(BATCH)},) if program.range_constraints else None,
    )  # fmt: skip


def _join_views(model: Any) -> None:
    """Lets a view of a view look at what the first one looks at, where its shape is constant."""
    for number, node in enumerate(model.graph):
        shape = node.outputs[0].shape
        source = _viewed(node)
        if source is None or source is node.inputs[0] or shape is None or not shape.is_static() or 0 in shape:
            continue
        wanted = whole_numbers(model.graph, f"view_{number}_shape", list(shape))
        node.op_type = "Reshape"
        node.replace_input_with(0, source)
        node.replace_input_with(1, wanted)


def _drop_zero_biases(model: Any) -> None:
    """Takes away the zeros that the exporter adds to convolutions without a bias; an eight-bit model keeps 12 bytes for each."""
    for node in model.graph:
        if node.op_type == "Conv" and len(node.inputs) == 3 and node.inputs[2] is not None:
            bias = node.inputs[2].const_value
            if bias is not None and not bias.numpy().any():
                node.resize_inputs(2)


def _viewed(node: Any) -> Any:
    """What a view, or the views that it is of, look at; None for other nodes."""
    found = None
    while node is not None and node.op_type in VIEWS and len(node.inputs) == 2:
        found = node.inputs[0]
        node = found.producer()
    return found
