"""An ONNX model in eight bits, and how much of its accuracy is left.

Static quantisation in the QDQ form, of all operations that onnxruntime knows in integers: scales of activations are those of
training images, weights have one a channel. With convolutions and matrix products alone, a dynamic network fell to chance.
Weights take seven of their eight bits: processors without VNNI add products up in sixteen bits, which would overflow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from dcdnas.core.extras import need
from dcdnas.data import Images, Split
from dcdnas.errors import MismatchError
from dcdnas.export.files import finished
from dcdnas.export.model import Written
from dcdnas.export.opened import Opened, open_network
from dcdnas.training.augment import normalised
from dcdnas.training.judging import judge_of

INT8 = "model-int8.onnx"

CALIBRATION, BATCH = 256, 32
"""Training images that the scales are taken from, and how many at a time."""


def write_int8(source: Path, images: Split, path: Path) -> Written:
    """Writes an eight-bit model, loads it again and judges both on the validation images.

    Args:
        source: the ONNX model for any batch.
        images: as the network takes them; the scales are those of the part to learn from.
        path: of the file.

    Raises:
        MissingPackageError: when the extra ``onnx`` is not installed.
        MismatchError: when the model that was loaded again gives no such outputs; then the file is not there.
    """
    need("onnx", "Quantisation")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    before, one_scale = open_network(source), [{"quant_type": QuantType.QInt8, "reduce_range": True}]
    with finished(path) as part, _quiet():
        quantize_static(
            str(source), str(part), _Reader(before, images.train), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=True,
            extra_options={"TensorQuantOverrides": dict.fromkeys(_stacks(source), one_scale)},
        )  # fmt: skip
        after = open_network(part)
        _check_batches(after, images.validation, path)
        reached = [100 * _reached(each, images.validation) for each in (before, after)]
        sizes = [file.stat().st_size / 1000 for file in (source, part)]
    of = f"{len(images.validation):,} validation images"
    judged = f"mean IoU {reached[1]:.1f} % on {of}" if after.pixels else f"{reached[1]:.1f} % of {of} right"
    said = (
        f"int8, scales of {min(CALIBRATION, len(images.train))} training images; {judged}, {reached[0]:.1f} % before; "
        f"{sizes[1]:,.0f} kB, {sizes[0]:,.0f} kB before"
    )
    return Written(path, said)


def _stacks(source: Path) -> list[str]:
    """Weights of a model that are several matrices, for which onnxruntime's product in eight bits takes one scale only."""
    import onnx

    graph = onnx.load(source).graph
    deep = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 2}
    return sorted({name for node in graph.node if node.op_type == "MatMul" for name in node.input} & deep)


class _Reader:
    """Gives onnxruntime evenly spaced images, batch by batch, as its `CalibrationDataReader` does."""

    def __init__(self, opened: Opened, images: Images) -> None:
        said = opened.normalisation
        self.mean, self.std = (said.mean, said.std) if said else (images.mean, images.std)
        rows = torch.linspace(0, len(images) - 1, min(CALIBRATION, len(images))).long()
        self.batches = iter([images.batch(rows[i : i + BATCH])[0] for i in range(0, len(rows), BATCH)])

    def get_next(self) -> dict[str, Any] | None:
        """The next batch; None after the last."""
        pixels = next(self.batches, None)
        return None if pixels is None else {"images": normalised(pixels, self.mean, self.std).contiguous().numpy()}


def _check_batches(opened: Opened, images: Images, path: Path) -> None:
    """Raises MismatchError when a batch of 8 images does not give what each of them gives alone."""
    few = images.take(torch.arange(min(8, len(images))))
    each = torch.cat([opened.outputs(few.take(torch.tensor([i]))) for i in range(len(few))])
    together = opened.outputs(few)
    if not torch.allclose(each, together, rtol=1e-4, atol=1e-4 * together.abs().max().item()):
        raise MismatchError(f"{path}: a batch of 8 images gives other outputs than each image alone. The file was not kept.")


def _reached(opened: Opened, images: Images) -> float:
    """The share of the images that are right, or of masks the mean IoU."""
    judge = judge_of(images.masks)(len(images.classes), torch.device("cpu"))
    for logits, labels in opened.answers(images):
        judge.add(logits, labels)
    return judge.value


@contextmanager
def _quiet() -> Iterator[None]:
    """Without onnxruntime's advice to pre-process, which the exporter has done."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
