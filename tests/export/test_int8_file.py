"""The price in eight bits is what the weights of an exported model take, within a tenth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from backbones import small
from torch import nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost import price
from dcdnas.data import Images, Split
from dcdnas.errors import GeometryError
from dcdnas.export.config import Model
from dcdnas.export.programs import write_onnx
from dcdnas.export.quantize import write_int8
from dcdnas.networks import Network, build_network, slots_of
from dcdnas.operators import BatchNorm, operators

onnx = pytest.importorskip("onnx")

MARGINS = {"static": 0.001, "sk": 0.2, "idconv": 0.3, "dcd": 0.05}
"""Of the price to what is kept; a tenth where nothing is said. The export makes one matrix of sk's two heads,
and weighs idconv's kernels as they are, with one scale."""


def made_of(operator: str, network: str = "mobilenetv2") -> Architecture:
    """A small network with the operator in every slot that takes it."""
    bare = small(network, channels=(24, 48), stem_channels=24, head_channels=96)
    layers = {}
    for slot in slots_of(bare):
        cls = operators[operator]
        try:
            settings = cls.resolve(slot.geometry)
        except GeometryError:
            continue
        if slot.kind == "conv":
            layers[slot.name] = LayerChoice(operator, settings, cls.counted_form(slot.geometry, settings))
    assert layers
    return replace(bare, layers=layers)


def trained(architecture: Architecture) -> Network:
    """With numbers in its norms as after a training, so that no bias is 0."""
    torch.manual_seed(0)
    network = build_network(architecture).eval()
    for module in network.modules():
        if isinstance(module, BatchNorm):
            nn.init.uniform_(module.bias, 0.1, 0.2)
    return network


def images(architecture: Architecture) -> Split:
    count, generator = 16, torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, *architecture.input), generator=generator, dtype=torch.uint8)
    names = tuple(map(str, range(architecture.classes)))
    rows = torch.arange(count)
    made = Images("made", 9, pixels, rows % architecture.classes, names, (0.5,) * 3, (0.25,) * 3, rows)
    return Split(made.take(rows[:8]), made.take(rows[8:]))


@pytest.mark.slow
@pytest.mark.parametrize("operator", operators)
def test_the_price_is_what_an_exported_model_keeps(operator: str, tmp_path: Path) -> None:
    architecture = made_of(operator)
    network = trained(architecture).deploy()
    write_onnx(network, network, Model(architecture), tmp_path / "model.onnx")
    write_int8(tmp_path / "model.onnx", images(architecture), tmp_path / "int8.onnx")
    kept = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer]
    stored = sum(tensor.nbytes for tensor in kept if tensor.ndim and tensor.dtype != "int64")  # no scales of maps, no shapes
    assert price(architecture, ("int8-size",))["int8-size"] == pytest.approx(stored, rel=MARGINS.get(operator, 0.1))
