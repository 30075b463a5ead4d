"""An eight-bit model keeps what the network says of itself, and is judged beside the one that it was made from."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_opened import SAID, by_channel, linear

from dcdnas.data import Images, Split
from dcdnas.errors import MismatchError
from dcdnas.export import open_network, quantize
from dcdnas.export.quantize import write_int8
from dcdnas.training.augment import normalised

pytest.importorskip("onnxruntime.quantization")


def images(count: int = 60) -> Split:
    """Of three classes, told apart by the channel that is brightest."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    pixels = torch.randint(0, 120, (count, 3, 9, 9), generator=generator, dtype=torch.uint8)
    pixels[torch.arange(count), labels] += 130
    made = Images("made", 9, pixels, labels, tuple(SAID["label_names"]), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), torch.arange(count))
    return Split(made.take(torch.arange(count // 2)), made.take(torch.arange(count // 2, count)))


@pytest.mark.parametrize("level", [logging.NOTSET, logging.INFO, logging.ERROR])
def test_a_program_s_own_silence_outlasts_that_of_the_quantiser(level: int) -> None:
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        with quantize._quiet():
            assert not logging.getLogger("onnxruntime").isEnabledFor(logging.WARNING)
        assert logging.root.manager.disable == level
    finally:
        logging.disable(before)


def test_it_computes_in_eight_bits_nearly_what_the_model_does(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    source, data = linear(tmp_path / "model.onnx", SAID), images()
    written = write_int8(source, data, tmp_path / "int8.onnx")
    assert "scales of 30 training images; 100.0 % of 30 validation images right, 100.0 % before" in written.said
    before, after = open_network(source), open_network(written.path)
    assert (after.labels, after.normalisation, after.input) == (before.labels, before.normalisation, before.input)
    expected, found = before.outputs(data.validation)[0], after.outputs(data.validation)[0]
    assert 0 < (found - expected).abs().max() < 0.05 * expected.abs().max()
    kinds = {node.op_type for node in onnx.load(written.path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("model.onnx", "int8.onnx")] == []


@pytest.mark.parametrize("matrices", [0, 1])
def test_one_that_scores_pixels_is_judged_by_its_mean_iou_also_with_stacks_of_matrices(tmp_path: Path, matrices: int) -> None:
    given = images(24)
    masks = normalised(given.train.pixels, tuple(SAID["mean"]), tuple(SAID["std"])).argmax(1).byte()
    masked = Split(*(replace(part, labels=masks) for part in given))
    written = write_int8(by_channel(tmp_path / "model.onnx", SAID, matrices), masked, tmp_path / "int8.onnx")
    found = re.search(r"mean IoU (\d+\.\d) % on 12 validation images, 100\.0 % before", written.said)
    assert found
    assert float(found[1]) > 90


def test_a_model_that_mixes_its_images_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = linear(tmp_path / "model.onnx", SAID)
    monkeypatch.setattr("dcdnas.export.quantize.torch.allclose", lambda *_, **__: False)
    with pytest.raises(MismatchError, match=r"int8\.onnx: a batch of 8 images gives other outputs than each image alone"):
        write_int8(source, images(), tmp_path / "int8.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
