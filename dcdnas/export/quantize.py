"""Quantises an ONNX model to eight bits and measures its accuracy before and after.

Static quantisation in QDQ format of all operations that onnxruntime supports in integers: the scales of activations are
calibrated on training images, and weights have one scale per channel. When only convolutions and matrix products were quantised,
a dynamic network fell to chance. Weights use seven of their eight bits, because processors without VNNI sum products in sixteen
bits, which would overflow.
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
from dcdnas.export.config import Normalisation
from dcdnas.export.files import finished
from dcdnas.export.model import Written
from dcdnas.export.opened import Opened, open_network
from dcdnas.training.augment import normalised
from dcdnas.training.judging import judge_of

CALIBRATION, BATCH = 256, 32
"""Number of training images for the calibration, and their batch size."""


def write_int8(source: Path, images: Split, path: Path) -> Written:
    """Writes an int8 model, loads it again and evaluates both models on the validation images.

    Args:
        source: the ONNX model for any batch size.
        images: images in the form that the network takes; the training part is used for the calibration.
        path: path of the file.

    Raises:
        MissingPackageError: when the extra ``onnx`` is not installed.
        MismatchError: when the loaded model gives other outputs for a batch than for its images alone; then no file is left.
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
    """Names of weights that are stacks of matrices, for which onnxruntime's int8 product supports only one scale."""
    import onnx

    graph = onnx.load(source).graph
    deep = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 2}
    return sorted({name for node in graph.node if node.op_type == "MatMul" for name in node.input} & deep)


class _Reader:
    """Gives onnxruntime evenly spaced images, batch by batch, with the interface of its `CalibrationDataReader`."""

    def __init__(self, opened: Opened, images: Images) -> None:
        said = opened.normalisation
        self.mean, self.std = (said.mean, said.std) if said else (images.mean, images.std)
        rows = torch.linspace(0, len(images) - 1, min(CALIBRATION, len(images))).long()
        self.batches = iter([pixels for pixels, _ in images.intact(rows.split(BATCH))])  # type: ignore[no-untyped-call]

    def get_next(self) -> dict[str, Any] | None:
        """Returns the next batch, None after the last."""
        pixels = next(self.batches, None)
        return None if pixels is None else {"images": normalised(pixels, self.mean, self.std).contiguous().numpy()}


def _check_batches(opened: Opened, images: Images, path: Path) -> None:
    """Raises MismatchError when a batch of 8 images gives other outputs than each image alone."""
    pixels, theirs = images.batch(torch.arange(min(8, len(images))))[0], Normalisation(images.mean, images.std)
    each = torch.cat([opened.logits(one, theirs) for one in pixels.split(1)])  # type: ignore[no-untyped-call]
    together = opened.logits(pixels, theirs)
    if not torch.allclose(each, together, rtol=1e-4, atol=1e-4 * together.abs().max().item()):
        raise MismatchError(f"{path}: a batch of 8 images gives other outputs than each image alone. The file was not kept.")


def _reached(opened: Opened, images: Images) -> float:
    """Returns the accuracy as a share, or the mean IoU on masks."""
    judge = judge_of(images.masks)(len(images.classes), torch.device("cpu"))
    for logits, labels in opened.answers(images):
        judge.add(logits, labels)
    return judge.value


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences onnxruntime's advice to pre-process the model, which the exporter has done."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
