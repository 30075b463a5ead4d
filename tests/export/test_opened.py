"""A trained network from whatever file it is in gives the same outputs, and a file that cannot be used says why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_metadata import ARCHITECTURE, MODEL
from torch import Tensor

from dcdnas.core.architecture import Architecture
from dcdnas.data import Images
from dcdnas.errors import FileError, UsageError
from dcdnas.export import Model, Opened, config_file, export_model, open_network, save_weights, speed_of
from dcdnas.networks import build_network
from dcdnas.training.augment import normalised

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

PIXELS = torch.randint(0, 256, (5, 3, 9, 9), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def linear(path: Path, metadata: dict[str, Any], batch: Any = "batch", outputs: int = 3) -> Path:
    """An ONNX model of one linear layer, which sums the channels' pixels for the first outputs."""
    from onnx import TensorProto, helper, numpy_helper

    weight = torch.zeros(3 * 81, outputs)
    for channel in range(3):
        weight[81 * channel : 81 * (channel + 1), channel] = 1.0
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["rows"]), helper.make_node("MatMul", ["rows", "weight"], ["logits"])],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 9, 9])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(weight.numpy(), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(
        model, {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
    )
    onnx.save(model, path)
    return path


def by_channel(path: Path, metadata: dict[str, Any], matrices: int = 0) -> Path:
    """An ONNX model that scores each pixel's classes by its channels; through products with some identity matrices."""
    from onnx import TensorProto, helper, numpy_helper

    weights = [numpy_helper.from_array(torch.eye(3).view(3, 3, 1, 1).numpy(), "weight")]
    nodes = [helper.make_node("Conv", ["images", "weight"], ["scores"])]
    if matrices:
        weights.append(numpy_helper.from_array(torch.eye(9).repeat(3, 1, 1).numpy(), "stack"))
        nodes += [helper.make_node("MatMul", ["scores" if not i else f"m{i - 1}", "stack"], [f"m{i}"]) for i in range(matrices)]
    nodes.append(helper.make_node("Identity", [nodes[-1].output[0]], ["logits"]))
    shape = ["batch", 3, 9, 9]
    graph = helper.make_graph(
        nodes,
        "by channel",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.save(model, path)
    return path


def expected(opened: Opened) -> Tensor:
    assert opened.normalisation is not None
    return normalised(PIXELS, opened.normalisation.mean, opened.normalisation.std).sum((2, 3)).double()


SAID = {"input_size": [3, 9, 9], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "label_names": ["Käse", "cat", "a, b"]}


@pytest.mark.parametrize("batch", ["batch", 1, 2])
def test_an_onnx_model_alone_says_all_that_is_needed(tmp_path: Path, batch: Any) -> None:
    opened = open_network(linear(tmp_path / "net.onnx", SAID, batch))
    assert (opened.runtime, opened.input, opened.classes, opened.labels) == ("onnxruntime", (3, 9, 9), 3, ("Käse", "cat", "a, b"))
    pixels = PIXELS[: 4 if batch == 2 else 5]
    torch.testing.assert_close(opened.logits(pixels), expected(opened)[: len(pixels)], rtol=1e-5, atol=1e-4)


def test_the_range_of_grey_is_that_of_the_file_and_need_not_be_there(tmp_path: Path) -> None:
    save_weights(build_network(ARCHITECTURE), tmp_path / "model.safetensors")
    for grey_range in (None, 4095.0):
        more = {} if grey_range is None else {"grey_range": grey_range}
        assert open_network(linear(tmp_path / "net.onnx", {**SAID, **more})).grey_range == grey_range
        export_model(replace(MODEL, grey_range=grey_range), tmp_path, ["config"])
        assert open_network(tmp_path).grey_range == grey_range


def test_a_folder_with_weights_is_run_by_torch_and_one_without_by_its_onnx_model(tmp_path: Path) -> None:
    network = build_network(ARCHITECTURE).eval()
    weights = save_weights(network, tmp_path / "w.safetensors").path
    export_model(MODEL, tmp_path / "out", ["config"])
    linear(tmp_path / "out" / "model.onnx", SAID)
    assert open_network(tmp_path / "out").runtime == "onnxruntime"
    opened = open_network(tmp_path / "out", weights)
    weights.rename(tmp_path / "out" / "model.safetensors")
    for found in (opened, open_network(tmp_path / "out"), open_network(tmp_path / "out" / "config.json")):
        assert (found.runtime, found.labels) == ("torch", MODEL.labels)
    with torch.no_grad():
        wanted = network(normalised(PIXELS, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    torch.testing.assert_close(open_network(tmp_path / "out").logits(PIXELS), wanted.double(), rtol=1e-4, atol=1e-5)


def test_a_folder_with_nothing_trained_says_what_to_do(tmp_path: Path) -> None:
    export_model(MODEL, tmp_path, ["config"])
    with pytest.raises(FileError, match=r"has no model.safetensors and no model.onnx.* dcdnas train"):
        open_network(tmp_path)
    with pytest.raises(FileError, match="no such file or folder"):
        open_network(tmp_path / "gone")


def test_the_folder_of_one_training_is_that_of_its_seed_and_one_of_several_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "net.v2"
    export_model(MODEL, folder / "seed-3", ["config"])
    save_weights(build_network(ARCHITECTURE), folder / "seed-3" / "model.safetensors")
    assert open_network(folder).path == folder / "seed-3" / "model.safetensors"
    export_model(MODEL, folder / "seed-4", ["config"])
    with pytest.raises(FileError, match=r"2 trainings\. Name one of them: .*seed-3, .*seed-4\."):
        open_network(folder)
    export_model(MODEL, folder, ["config"])
    assert config_file(folder) == folder / "config.yaml"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": "[1, NaN, 2]"}, "mean in its metadata is"),
        ({"mean": [0.5]}, "mean in its metadata has 1 numbers for 3 channels"),
        ({"std": [0.0, 1.0, 1.0]}, "std in its metadata is"),
        ({"label_names": "no JSON"}, "label_names in its metadata is 'no JSON'"),
        ({"label_names": ["a", "b"]}, "it names 2 classes and has 3 outputs"),
        ({"input_size": [3, 9]}, "input_size in its metadata is"),
        ({"grey_range": 0}, "grey_range in its metadata is '0'"),
        ({"grey_range": "much"}, "grey_range in its metadata is"),
        ({"input_size": "[" * 100_000}, "input_size in its metadata is"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(FileError, match=said):
        open_network(linear(tmp_path / "net.onnx", {**SAID, **changes}))


def test_a_file_that_is_no_onnx_model_and_one_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x08nonsense")
    with pytest.raises(FileError, match=r"bad\.onnx: onnxruntime cannot load it"):
        open_network(tmp_path / "bad.onnx")
    from onnx import TensorProto, helper

    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", info[:1], info[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "relu.onnx")
    with pytest.raises(FileError, match=r"relu\.onnx: not a classifier of images or of their pixels"):
        open_network(tmp_path / "relu.onnx")


def test_a_network_that_does_not_say_its_normalisation_predicts_nothing(tmp_path: Path) -> None:
    opened = open_network(linear(tmp_path / "net.onnx", {}))
    assert (opened.labels, opened.input) == ((), (3, 9, 9))
    with pytest.raises(UsageError, match=r"does not say how its images are normalised.*own task needs its code"):
        opened.logits(PIXELS)


def test_a_network_that_scores_pixels_is_opened_by_torch(tmp_path: Path) -> None:
    pixels = Architecture("mobilenetv2", {"channels": (8, 16), "depth": 1, "strides": (2, 2)}, {}, (3, 9, 9), 3, head="decoder")
    network = build_network(pixels).eval()
    save_weights(network, tmp_path / "model.safetensors")
    export_model(Model(pixels, {}, MODEL.normalisation, MODEL.labels), tmp_path, ["config"])
    opened = open_network(tmp_path)
    assert (opened.pixels, opened.classes, opened.labels) == (True, 3, MODEL.labels)
    with torch.no_grad():
        wanted = network(normalised(PIXELS, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    torch.testing.assert_close(opened.logits(PIXELS), wanted.double(), rtol=1e-4, atol=1e-5)


def test_an_onnx_model_that_scores_pixels_gives_each_image_with_its_mask(tmp_path: Path) -> None:
    opened = open_network(by_channel(tmp_path / "net.onnx", SAID))
    assert (opened.pixels, opened.classes, opened.labels) == (True, 3, tuple(SAID["label_names"]))
    masks = torch.arange(5 * 81).view(5, 9, 9) % 3
    made = Images("made", 9, PIXELS, masks.byte(), opened.labels, (0.5,) * 3, (0.5,) * 3, torch.arange(5))
    ((logits, labels),) = opened.answers(made)
    assert torch.equal(labels, masks)
    torch.testing.assert_close(logits.float(), normalised(PIXELS, tuple(SAID["mean"]), tuple(SAID["std"])))
    assert not open_network(linear(tmp_path / "other.onnx", SAID)).pixels


def test_a_model_that_fails_when_it_runs_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = linear(tmp_path / "net.onnx", {**SAID, "input_size": [3, 8, 9]})
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, path)
    with pytest.raises(FileError, match=r"net\.onnx: onnxruntime cannot run it: .* Export it again"):
        open_network(path).logits(PIXELS[:, :, 1:])
    assert capfd.readouterr() == ("", "")


def test_outputs_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    network = build_network(ARCHITECTURE)
    torch.nn.init.constant_(network.classifier.weight, 3e38)  # whose products overflow
    save_weights(network, tmp_path / "model.safetensors", MODEL.metadata())
    export_model(Model(ARCHITECTURE, {}, MODEL.normalisation), tmp_path, ["config"])
    with pytest.raises(FileError, match="its outputs are not finite"):
        open_network(tmp_path).logits(PIXELS)


def test_its_speed_is_a_median_between_quartiles(tmp_path: Path) -> None:
    speed = speed_of(open_network(linear(tmp_path / "net.onnx", SAID)))
    assert 0 < speed.low <= speed.median <= speed.high
    assert (speed.batch, speed.to_dict()["runtime"]) == (64, "onnxruntime")
    assert speed_of(open_network(linear(tmp_path / "one.onnx", SAID, 1))).batch == 1
