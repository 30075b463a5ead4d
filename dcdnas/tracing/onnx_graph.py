"""Converts a traced program to an ONNX model of few nodes.

The exporter's own optimiser matches about fifty patterns at each node, which takes more than half of the time of an export, and
onnxruntime does the same when it loads the file. Only the optimisations that onnxruntime needs and does not do itself are done
here: constants are folded, because onnxruntime fuses an activation into its convolution only when the bounds are constants, and
consecutive views are merged.
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
"""Name of the batch axis, the first one."""

FOLDED = 2**31
"""Largest size of a folded constant in bytes. It allows folding the views of all weights; a folded view is a weight like any
other, which can be quantised to eight bits."""

VIEWS = ("Reshape", "Squeeze", "Unsqueeze")
"""Types of nodes that change the shape but not the data, with the shape or the axes as their second input."""


class _AsTraced(ExportedProgram):
    """A program whose operations are translated without being decomposed.

    The exporter first traces a program again to decompose its operations, which takes more than half of its time. It can
    translate the operations of dcdnas's own networks directly.
    """

    def run_decompositions(self, *_: Any, **__: Any) -> ExportedProgram:
        """Returns the program unchanged."""
        return self


Names = tuple[Sequence[str], Sequence[str]]
"""Names of the inputs and of the outputs."""

NAMES: Names = (("images",), ("logits",))


def as_onnx(program: ExportedProgram, metadata: Mapping[str, str], free: bool = False, names: Names = NAMES) -> Any:
    """Converts a program to an `onnx.ModelProto`, by default with the input ``images`` and the output ``logits``.

    Args:
        program: traced program of a network, for one batch size or for any.
        metadata: metadata to store in the model.
        free: whether to generalise a program that was traced at `TRACED` images to any batch size.
        names: names of the inputs and outputs.

    Raises:
        FixedBatchError: when it cannot be generalised.
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
    """Translates a program with the exporter, and decomposes its operations only if that is needed."""
    plain = copy.copy(program)
    plain.__class__ = _AsTraced
    try:
        return _exported(plain, names)
    except torch.onnx.OnnxExporterError:  # the exporter cannot translate an operation without decomposing it
        return _exported(program, names)


def _exported(program: ExportedProgram, names: Names) -> Any:
    return torch.onnx.export(
        program, (), dynamo=True, verbose=False, optimize=False, input_names=names[0], output_names=names[1],
        dynamic_shapes=({0: torch.export.Dim(BATCH)},) if program.range_constraints else None,
    )  # fmt: skip


def _join_views(model: Any) -> None:
    """Merges consecutive views with constant shapes into one, which reads the input of the first."""
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
    """Removes the zero biases that the exporter adds to convolutions; an eight-bit model would store 12 bytes for each value."""
    for node in model.graph:
        if node.op_type == "Conv" and len(node.inputs) == 3 and node.inputs[2] is not None:
            bias = node.inputs[2].const_value
            if bias is not None and not bias.numpy().any():
                node.resize_inputs(2)


def _viewed(node: Any) -> Any:
    """The value that a chain of views starts from, given its last node; None for other nodes."""
    found = None
    while node is not None and node.op_type in VIEWS and len(node.inputs) == 2:
        found = node.inputs[0]
        node = found.producer()
    return found
