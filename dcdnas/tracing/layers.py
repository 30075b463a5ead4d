"""Several modules as an ONNX model each, through one export.

An export spends most of a small module's time on what is the same for all: the exporter's table of operators. So the modules are
exported side by side, as one program that takes an input for each, and its graph is cut apart. Where the exporter has to take the
operations of one apart, it does so with all; that makes the same nodes of the package's other operators.
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
    """Each module as an `onnx.ModelProto` for one image, the same nodes as in a network's own model for one image.

    Args:
        modules: in eval mode, deployed, each from one input to one output.
        shapes: of their inputs without the batch.
    """
    from onnx.utils import Extractor

    inputs, outputs = ([f"{name}{number}" for number in range(len(modules))] for name in ("images", "logits"))
    with quiet():
        whole = Extractor(as_onnx(traced_for_one(_SideBySide(modules), *shapes), {}, names=(inputs, outputs)))
        return [whole.extract_model([x], [y]) for x, y in zip(inputs, outputs, strict=True)]
