"""ONNX models: one for any batch size, one for one image at a time; both compute what the network does, in few nodes."""

from __future__ import annotations

import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.export import Model, export_model, load_weights, programs, save_weights
from dcdnas.networks import Network, build_network
from dcdnas.operators._per_sample import per_sample_conv2d
from dcdnas.tracing._any_batch import TRACED, FixedBatchError
from dcdnas.tracing.onnx_graph import as_onnx

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SETTINGS = {"channels": (8,), "depth": 1, "strides": (2,), "expansion": (4,), "stem_channels": 8, "head_channels": 0}
BLOCK = ("stage1.block1.expand", "stage1.block1.depthwise", "stage1.block1.project")
DYNAMIC = {
    "static": (LayerChoice(), ()),
    "odconv": (LayerChoice("odconv", {"num_kernels": 1}), BLOCK),
    "dcd": (LayerChoice("dcd", {"variant": "code"}), BLOCK[::2]),
}
SLOW = [name for name in DYNAMIC if name != "dcd"]
"""One export takes seconds; that of DCD has static layers too."""

FILES = ("model.onnx", "model-batch1.onnx")


@cache
def exported(operator: str) -> tuple[Network, dict[str, bytes]]:
    """A network of one block of MobileNetV2 with random weights, and its files."""
    choice, places = DYNAMIC[operator]
    architecture = Architecture("mobilenetv2", SETTINGS, dict.fromkeys(places, choice), (3, 20, 20), 4)
    network = build_network(architecture)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    with TemporaryDirectory() as folder:
        weights = save_weights(network, Path(folder) / "w.safetensors").path
        written = export_model(Model(architecture), Path(folder) / "out", ["onnx"], weights)
        assert [file.path.name for file in written] == list(FILES)
        files = {file.path.name: file.path.read_bytes() for file in written}
        load_weights(network, weights)
    return network.eval(), files


def optimised(model: bytes) -> tuple[Any, Counter[str]]:
    """A session, and how many nodes of each kind onnxruntime runs."""
    with TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath, options.log_severity_level = f"{folder}/model.onnx", 3
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return session, Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def images(batch: int) -> Tensor:
    return torch.randn(batch, 3, 20, 20, generator=torch.Generator().manual_seed(batch))


@pytest.mark.parametrize("operator", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in DYNAMIC])
@pytest.mark.parametrize(
    ("name", "batch"), [pytest.param("model.onnx", 1, marks=pytest.mark.slow), ("model.onnx", 8), ("model-batch1.onnx", 1)]
)
def test_both_files_compute_what_the_network_does(operator: str, name: str, batch: int) -> None:
    network, files = exported(operator)
    x = images(batch)
    found = torch.from_numpy(optimised(files[name])[0].run(["logits"], {"images": x.numpy()})[0])
    with torch.no_grad():
        torch.testing.assert_close(found, network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_file_for_one_image_refuses_two() -> None:
    session, _ = optimised(exported("dcd")[1]["model-batch1.onnx"])
    with pytest.raises(Exception, match="Expected: 1"):
        session.run(None, {"images": images(2).numpy()})


@pytest.mark.slow
@pytest.mark.parametrize(("operator", "most"), [("static", 0), ("odconv", 12), ("dcd", 26)])
def test_a_dynamic_layer_for_one_image_is_few_nodes(operator: str, most: int) -> None:
    """Beyond its convolution; a depthwise layer whose taps were added up one by one would have 50 and more."""
    nodes = optimised(exported(operator)[1]["model-batch1.onnx"])[1]
    static = sum(optimised(exported("static")[1]["model-batch1.onnx"])[1].values())
    assert sum(nodes.values()) - static <= most * len(DYNAMIC[operator][1])
    assert not {"Cast", "SequenceAt", "Slice", "Pad"} & set(nodes) - ({"Slice"} if operator == "dcd" else set())


@pytest.mark.slow
def test_a_model_for_any_batch_size_computes_no_shapes_and_names_its_batch() -> None:
    graph = onnx.load_from_string(exported("dcd")[1]["model.onnx"]).graph
    assert "Shape" not in {node.op_type for node in graph.node}
    assert [axis.dim_param for axis in graph.input[0].type.tensor_type.shape.dim] == ["batch", "", "", ""]


class Small(nn.Module):
    """What is the same for all images, beside what is not, in views that mix the batch with other axes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4))

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.baddbmm(x, self.weight.expand(len(x), -1, -1), x[:, :4])
        return mixed.view(len(x) * 2, 3, -1).relu().flatten(1).view(len(x), -1)


class Indexing(Small):
    """Needs the number of images."""

    def forward(self, x: Tensor) -> Tensor:
        return x[-1:].expand_as(x) * torch.arange(len(x))[:, None, None]


def freed(network: nn.Module) -> Any:
    """The network as a model for any batch size, traced for one."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own insides
        program = torch.export.export(network.eval(), (torch.zeros(1, 1, 1).expand(TRACED, 6, 5),))
        return as_onnx(program, {}, free=True)


def test_a_model_traced_for_one_batch_size_is_freed_of_it() -> None:
    network = Small()
    session, _ = optimised(freed(network).SerializeToString())
    for batch in (1, 3):
        x = torch.randn(batch, 6, 5)
        torch.testing.assert_close(torch.from_numpy(session.run(None, {"images": x.numpy()})[0]), network(x).detach())


class OneKernelEach(nn.Module):
    """Convolutions with a kernel a sample, depthwise and in groups, with and without a bias, as a network is traced for many."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels, self.biases = nn.Parameter(torch.randn(6, 1, 3, 3)), nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(-1) * x.unsqueeze(-2)  # (N, 6, 5, 5)
        gates = x.mean((2, 3))
        y = per_sample_conv2d(x, self.kernels * gates[:, :, None, None, None], 2, 1, 1, 6, "folded")
        inner = torch.unflatten(self.kernels[:4].expand(4, 3, 3, 3) * gates[:, :1, None, None, None], 1, (4,))
        biases = self.biases * gates[:, 1:2]
        return per_sample_conv2d(y, inner, 1, 1, 1, 2, "folded", biases).mean((2, 3))


def test_a_kernel_a_sample_is_one_convolution_a_sample() -> None:
    network = OneKernelEach()
    model = freed(network)
    assert [node.op_type for node in model.graph.node].count("Scan") == 2
    assert not {"Conv", "Concat"} & {node.op_type for node in model.graph.node}
    session, _ = optimised(model.SerializeToString())
    for batch in (1, 3):
        x = torch.randn(batch, 6, 5)
        found = torch.from_numpy(session.run(None, {"images": x.numpy()})[0])
        torch.testing.assert_close(found, network(x).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_model_that_needs_the_number_of_images_is_not_freed_of_it() -> None:
    with pytest.raises(FixedBatchError):
        freed(Indexing())


@pytest.mark.slow
def test_a_network_whose_batch_cannot_be_freed_is_traced_for_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = exported("static")
    one = onnx.load_from_string(exported("static")[1]["model-batch1.onnx"])
    monkeypatch.setattr(programs, "as_onnx", lambda *given, free=False: one if free else as_onnx(*given))
    path = tmp_path / "model.onnx"
    assert programs.write_onnx(network, network, Model(network.architecture), path) <= programs.ALLOWED
    assert optimised(path.read_bytes())[0].get_inputs()[0].shape[0] == "batch"


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_activations_are_fused_into_static_convolutions(name: str) -> None:
    nodes = optimised(exported("static")[1][name])[1]
    assert nodes["Conv"] + nodes["FusedConv"] == 4
    assert nodes["Clip"] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter, about its own insides
def test_a_view_of_a_large_weight_is_a_weight_and_no_convolution_has_zeros_for_a_bias() -> None:
    class Viewed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(1, 64, 40 * 9))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv2d(x, self.weight.view(64, 40, 3, 3))

    network = Viewed().eval()
    with torch.no_grad():
        program = torch.export.export(network, (torch.zeros(1, 40, 5, 5),))
    graph = as_onnx(program, {}).graph
    assert [node.op_type for node in graph.node] == ["Conv"]
    assert len(graph.node[0].input) == 2
    kernel = onnx.numpy_helper.to_array(next(tensor for tensor in graph.initializer if tensor.name == graph.node[0].input[1]))
    assert torch.equal(torch.from_numpy(kernel.copy()).view(-1), network.weight.detach().view(-1))
