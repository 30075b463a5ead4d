"""Writes networks as programs that run without dcdnas: a `torch.export` .pt2, ONNX models, an ExecuTorch .pte.

A program for any batch size is traced with the operators' portable forms, which keep the batch dimension. A program for one
image is traced with the fastest forms, in which each convolution with a sample-dependent kernel is one node. Either is written
under a temporary name, loaded again and compared with the network at batch 1 and, if it takes more images, 8; only then is it
renamed.
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
from dcdnas.core.files import utf8_path
from dcdnas.errors import MismatchError
from dcdnas.export.config import Model
from dcdnas.export.files import finished
from dcdnas.networks import Network
from dcdnas.tracing.onnx_graph import as_onnx
from dcdnas.tracing.programs import quiet, traced, traced_for_many, traced_for_one

BATCHES = (1, 8)
"""Batch sizes at which a program is compared with the network."""

ALLOWED = 1e-4
"""Largest allowed difference from the network's outputs, relative to the largest output, in float32."""

Run = Callable[[Tensor], Tensor]


METADATA = "dcdnas.json"
"""Name of the file inside a .pt2 that holds `Model.metadata`."""


def write_pt2(program: ExportedProgram, network: Network, model: Model, path: Path) -> float:
    """Writes a `torch.export` program, with `METADATA` beside it in the archive.

    Args:
        program: traced program of the network.
        network: network to compare with.
        model: model with the input's shape and the file's metadata.
        path: path of the file.

    Returns:
        The largest relative difference from the network's outputs.

    Raises:
        MismatchError: when the loaded program computes something else; then no file is left.
    """
    with quiet(), finished(path) as part:
        content = io.BytesIO()  # torch's own file writer crashes the process when the disk is full
        torch.export.save(program, content, extra_files={METADATA: json.dumps(model.metadata(), ensure_ascii=False)})
        part.write_bytes(content.getvalue())
        with part.open("rb") as file:
            again = torch.export.load(file).module()
        return compared(network, lambda x: again(x), model.architecture.input, path)


def write_onnx(shipped: Network, network: Network, model: Model, path: Path, for_one: bool = False) -> float:
    """Writes an ONNX model with inputs ``images`` (batch, C, H, W) and outputs ``logits`` (batch, classes).

    Args:
        shipped: network to write, in eval mode, deployed or not.
        network: network to compare with.
        model: model with the input's shape and the file's metadata.
        path: path of the file.
        for_one: whether the model takes only one image at a time, which is faster, instead of any batch size.

    Returns:
        The largest relative difference from the network's outputs.

    Raises:
        MissingPackageError: when the extra ``onnx`` is not installed.
        MismatchError: when onnxruntime computes something else from the file; then no file is left.
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
        except Exception:  # the traced batch size is fixed in the graph: in constants, or where onnxruntime accepts no other
            return written(as_onnx(traced(shipped, shape), metadata), BATCHES)


def _in_onnxruntime(path: Path) -> Run:
    """Loads an ONNX model in onnxruntime and returns the function that runs it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with utf8_path(path) as readable:
        session = onnxruntime.InferenceSession(readable, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0])


def write_executorch(network: Network, shape: Sequence[int], path: Path) -> float:
    """Writes an ExecuTorch program for XNNPACK that takes one image at a time, with memory planned ahead of time.

    Args:
        network: deployed network to write.
        shape: (C, H, W) of an input.
        path: path of the file.

    Returns:
        The largest relative difference from the network's outputs.

    Raises:
        MissingPackageError: when the extra ``executorch`` is not installed.
        MismatchError: when ExecuTorch's runtime computes something else from the file; then no file is left.
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
    """Returns the largest difference between the outputs of a program and the network, relative to the largest output.

    Args:
        network: network in eval mode.
        run: the program.
        shape: (C, H, W) of an input.
        path: path of the program's file, for the message.
        batches: batch sizes at which they are compared.

    Raises:
        MismatchError: when the difference exceeds `ALLOWED`, or the outputs have another shape or are not finite.
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
