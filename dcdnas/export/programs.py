"""Networks as programs that run without dcdnas: a `torch.export` .pt2, ONNX models, an ExecuTorch .pte.

A program for any batch size is traced with the operators' portable forms, in which the batch stays a batch. A program for one
image is traced with the forms that are fastest, and each convolution with a kernel of its own is one node. Either is written
beside its name, loaded again, compared with the network at batch 1 and, where it takes more, 8, and only then gets its name.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from dcdnas.core.extras import need
from dcdnas.errors import MismatchError
from dcdnas.export.config import Model
from dcdnas.export.files import finished
from dcdnas.networks import Network
from dcdnas.tracing.onnx_graph import as_onnx
from dcdnas.tracing.programs import quiet, traced, traced_for_many, traced_for_one

BATCHES = (1, 8)
"""Batch sizes at which a program is compared."""

ALLOWED = 1e-4
"""Largest difference to the network's outputs, relative to their largest, in float32."""

Run = Callable[[Tensor], Tensor]


METADATA = "dcdnas.json"
"""Name of the file inside a .pt2 that holds `Model.metadata`."""


def write_pt2(program: ExportedProgram, network: Network, model: Model, path: Path) -> float:
    """Writes a `torch.export` program, with `METADATA` beside it in the archive.

    Args:
        program: of the network.
        network: to compare with.
        model: says the input's shape and the file's metadata.
        path: of the file.

    Returns:
        The largest relative difference to the network's outputs.

    Raises:
        MismatchError: when the program that was loaded again computes something else; then the file is not there.
    """
    with quiet(), finished(path) as part:
        content = io.BytesIO()  # torch's own writer ends the process where the disk is full
        torch.export.save(program, content, extra_files={METADATA: json.dumps(model.metadata(), ensure_ascii=False)})
        part.write_bytes(content.getvalue())
        again = torch.export.load(part).module()
        return compared(network, lambda x: again(x), model.architecture.input, path)


def write_onnx(shipped: Network, network: Network, model: Model, path: Path, for_one: bool = False) -> float:
    """Writes an ONNX model with inputs ``images`` (batch, C, H, W) and outputs ``logits`` (batch, classes).

    Args:
        shipped: the network to write, in eval mode, deployed or not.
        network: to compare with.
        model: says the input's shape and the file's metadata.
        path: of the file.
        for_one: whether it takes one image at a time, which is faster, and not any number of them.

    Returns:
        The largest relative difference to the network's outputs.

    Raises:
        MissingPackageError: when the extra ``onnx`` is not installed.
        MismatchError: when onnxruntime computes something else from the file; then the file is not there.
    """
    need_onnx()
    shape, metadata = model.architecture.input, model.metadata()

    def written(graph: Any, batches: Sequence[int]) -> float:
        with finished(path) as part:
            part.write_bytes(graph.SerializeToString())
            return compared(network, _in_onnxruntime(part), shape, path, batches)

    with quiet():
        if for_one:
            return written(as_onnx(traced_for_one(shipped, shape), metadata), BATCHES[:1])
        try:
            return written(as_onnx(traced_for_many(shipped, shape), metadata, free=True), BATCHES)
        except Exception:  # its batch size is written into it: in a constant, in numbers, or where onnxruntime takes no other
            return written(as_onnx(traced(shipped, shape), metadata), BATCHES)


def _in_onnxruntime(path: Path) -> Run:
    """What onnxruntime computes from an ONNX model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0])


def write_executorch(network: Network, shape: Sequence[int], path: Path) -> float:
    """Writes an ExecuTorch program for XNNPACK that takes one image at a time, for which it reserves memory beforehand.

    Args:
        network: to write, deployed.
        shape: (C, H, W) of an input.
        path: of the file.

    Returns:
        The largest relative difference to the network's outputs.

    Raises:
        MissingPackageError: when the extra ``executorch`` is not installed.
        MismatchError: when ExecuTorch's runtime computes something else from the file; then the file is not there.
    """
    need_executorch()
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    with quiet(), finished(path) as part:
        program = traced_for_one(network, shape)
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
        part.write_bytes(lowered.buffer)
        method = Runtime.get().load_program(part).load_method("forward")
        return compared(network, lambda x: method.execute([x])[0], shape, path, BATCHES[:1])


def need_executorch() -> None:
    """Raises MissingPackageError when the extra ``executorch`` is not installed."""
    need("executorch", "export to ExecuTorch")


def need_onnx() -> None:
    """Raises MissingPackageError when the extra ``onnx`` is not installed."""
    need("onnx", "export to ONNX")


def compared(network: Network, run: Run, shape: Sequence[int], path: Path, batches: Sequence[int] = BATCHES) -> float:
    """The largest difference between a program and the network, relative to the largest output.

    Args:
        network: in eval mode.
        run: the program.
        shape: (C, H, W) of an input.
        path: of the program's file, for the message.
        batches: sizes at which they are compared.

    Raises:
        MismatchError: when it is above `ALLOWED`.
    """
    worst = 0.0
    generator = torch.Generator().manual_seed(0)
    for batch in batches:
        x = torch.randn(batch, *shape, generator=generator)
        with torch.no_grad():
            expected, found = network(x), run(x)
        if found.shape != expected.shape or not torch.isfinite(found).all():
            raise MismatchError(
                f"{path}: at batch {batch} the outputs are {tuple(found.shape)} or not finite. The file was not kept."
            )
        error = ((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()
        if error > ALLOWED:
            raise MismatchError(
                f"{path}: at batch {batch} it differs by {error:.1e} (allowed {ALLOWED:.0e}). The file was not kept."
            )
        worst = max(worst, error)
    return worst
