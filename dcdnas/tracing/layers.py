"""Exports several modules as one ONNX model each, in a single export.

The export of a small module spends most of its time on the exporter's table of operators, which is the same for all modules. The
modules are therefore exported side by side, as one program with an input for each, and its graph is split afterwards. Where the
exporter has to decompose the operations of one module, it decomposes those of all; for the package's other operators this gives
the same nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from dcdnas.tracing.onnx_graph import as_onnx
from dcdnas.tracing.programs import quiet, traced_for_one


class _SideBySide(nn.Module):
    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(part(x) for part, x in zip(self.parts, inputs, strict=True))


def graphs_for_one(modules: Sequence[nn.Module], shapes: Sequence[Sequence[int]]) -> list[Any]:
    """Exports each module as an `onnx.ModelProto` for one image, with the same nodes as in a network's model for one image.

    Args:
        modules: modules in eval mode and deployed form, each with one input and one output.
        shapes: shapes of their inputs without the batch.
    """
    from onnx.utils import Extractor

    inputs, outputs = ([f"{name}{number}" for number in range(len(modules))] for name in ("images", "logits"))
    with quiet():
        whole = Extractor(as_onnx(traced_for_one(_SideBySide(modules), *shapes), {}, names=(inputs, outputs)))
        return [whole.extract_model([x], [y]) for x, y in zip(inputs, outputs, strict=True)]
