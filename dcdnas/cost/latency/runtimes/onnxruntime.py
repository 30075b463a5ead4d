"""onnxruntime on the CPU, with models as `dcdnas export` writes them for one image (`model-batch1.onnx`).

Every module is exported to a separate model in the same way. A call of a session has an overhead of 10 to 20 microseconds, as
long as a small layer takes, and a network has it only once. Therefore a call of an empty model is timed too, and subtracted.
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
"""Maximum number of modules in one export."""

BYTES = 2**27
"""Maximum bytes of parameters in one export of several modules; a model may have 2 GiB."""


class OnnxRuntime(Runtime):
    """Runs ONNX models on the CPU."""

    @property
    def software(self) -> str:
        """See `Runtime.software`; includes the version of torch, whose export determines what is run."""
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
        """Returns a call of a model that computes a single number."""
        return _call(_session(_empty(), threads), torch.zeros(1))


def _groups(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Yields the parts in groups that are exported together."""
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
    except Exception as error:  # exporters and sessions raise errors of any type
        if len(group) > 1:  # one by one, to find out which part fails
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
    """Returns a call whose input is bound already, so that no time goes into conversions."""
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
