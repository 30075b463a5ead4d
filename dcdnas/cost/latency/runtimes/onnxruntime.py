"""onnxruntime: what `dcdnas export` ships for one image, `model-batch1.onnx`, on the CPU.

Every module becomes a model of its own, by the same export. A call of a session takes 10 to 20 microseconds in which nothing is
computed, as long as a small layer, and a network takes them once: so a call of an empty model is timed along, and taken off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from dcdnas.core.extras import need
from dcdnas.cost.latency.runtimes._base import Call, Part, Runtime
from dcdnas.errors import UsageError
from dcdnas.tracing.layers import graphs_for_one

__all__ = ["OnnxRuntime"]

TOGETHER = 32
"""Modules that one export takes at most."""

BYTES = 2**27
"""Parameters that one export takes at most, in bytes, of several modules; a model may have 2 GiB."""


class OnnxRuntime(Runtime):
    """Runs ONNX models on the CPU."""

    @property
    def software(self) -> str:
        """See `Runtime.software`; what torch exports decides what is run, too."""
        return f"onnxruntime {version('onnxruntime')}, exported by torch {torch.__version__.partition('+')[0]}"

    def check(self, kind: str, batch: int) -> None:
        """See `Runtime.check`."""
        need("onnx", "measuring in onnxruntime")
        if kind != "cpu" or batch != 1:
            raise UsageError(
                "onnxruntime is measured on the CPU with one image at a time, as model-batch1.onnx is run. Leave --device and "
                "--batch out, or measure with --runtime torch."
            )

    def calls(self, parts: Sequence[Part], threads: int) -> list[Call]:
        """See `Runtime.calls`."""
        return [call for group in _groups(parts) for call in _calls(group, threads)]

    def start(self, threads: int) -> Call:
        """A call of a model of one number."""
        return _call(_session(_empty(), threads), torch.zeros(1))


def _groups(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """The parts, as many at a time as are exported together."""
    group: list[Part] = []
    size = 0
    for part in parts:
        own = sum(p.nbytes for p in part.module.parameters())
        if group and (len(group) == TOGETHER or size + own > BYTES):
            yield group
            group, size = [], 0
        group.append(part)
        size += own
    if group:
        yield group


def _calls(group: Sequence[Part], threads: int) -> list[Call]:
    try:
        graphs = graphs_for_one([part.module for part in group], [part.x.shape[1:] for part in group])
        return [_call(_session(graph, threads), part.x) for graph, part in zip(graphs, group, strict=True)]
    except Exception as error:  # whatever exporters and sessions raise
        if len(group) > 1:  # one by one, to know which it is
            return [call for part in group for call in _calls([part], threads)]
        reason = str(error).strip().partition("\n")[0][:200].rstrip(".") or type(error).__name__
        raise UsageError(
            f"{group[0].name} cannot be exported to ONNX and run, so it has no latency in onnxruntime: {reason}. Leave its "
            "operator out of the space, or measure with --runtime torch."
        ) from error


def _session(graph: Any, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _call(session: Any, x: Tensor) -> Call:
    """A call with its input in place, so that no time goes into conversions."""
    import onnxruntime

    bound = session.io_binding()
    bound.bind_ortvalue_input(session.get_inputs()[0].name, onnxruntime.OrtValue.ortvalue_from_numpy(x.numpy()))
    bound.bind_output(session.get_outputs()[0].name)
    return lambda: session.run_with_iobinding(bound)


def _empty() -> Any:
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "empty", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
