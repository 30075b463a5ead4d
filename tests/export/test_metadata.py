"""Class names, normalisation and input size travel with every exported file, and evaluation goes by the names."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from written_runs import trial, write_run

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import Images, ordered_as
from dcdnas.errors import DataError, FileError, UsageError
from dcdnas.export import Model, Normalisation, as_trained, export_model, model_of, read_model, save_weights
from dcdnas.networks import build_network
from dcdnas.results import load_run

ARCHITECTURE = Architecture(
    "resnet", {"channels": (8,), "depth": 1, "strides": (1,), "stem_channels": 8, "stem": "small"}, {}, (3, 9, 9), 3
)
MODEL = Model(ARCHITECTURE, {}, Normalisation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), ("Käse", "cat", "a, b"))
SAID = {
    "input_size": [3, 9, 9], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "label_names": ["Käse", "cat", "a, b"],
    "interpolation": "bicubic",
}  # fmt: skip


def decoded(metadata: dict[str, str]) -> dict[str, object]:
    return {name: json.loads(value) for name, value in metadata.items() if name in SAID}


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_a_config_gives_back_what_it_was_written_with(tmp_path: Path, name: str) -> None:
    export_model(MODEL, tmp_path, ["config"])
    again = read_model(tmp_path / name)
    assert (again.labels, again.normalisation) == (MODEL.labels, MODEL.normalisation)


def test_weights_say_it_in_their_head(tmp_path: Path) -> None:
    from safetensors import safe_open

    save_weights(build_network(ARCHITECTURE), tmp_path / "w.safetensors", MODEL.metadata())
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert decoded(file.metadata()) == SAID


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_a_range_of_grey_is_said_only_where_there_is_one(tmp_path: Path, name: str) -> None:
    deep = replace(MODEL, grey_range=4095.0)
    assert json.loads(deep.metadata()["grey_range"]) == 4095
    assert "grey_range" not in MODEL.metadata()
    assert "grey_range" not in MODEL.config()
    export_model(deep, tmp_path, ["config"])
    assert read_model(tmp_path / name).grey_range == 4095
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace("4095.0", "-3"))
    with pytest.raises(FileError, match=r"-3\. Allowed: the grey value that is read as 255"):
        read_model(tmp_path / name)


def test_the_interpolation_is_said_beside_the_normalisation_and_given_weights_bring_theirs(tmp_path: Path) -> None:
    weights, network = tmp_path / "w.safetensors", build_network(ARCHITECTURE)
    resized, unknown = replace(MODEL, interpolation="bilinear"), replace(MODEL, normalisation=None)
    save_weights(network, weights, resized.metadata())
    assert as_trained(MODEL, weights, None).interpolation == "bilinear"
    save_weights(network, weights, unknown.metadata())
    assert "interpolation" not in unknown.metadata()
    assert as_trained(resized, weights, None).interpolation == "bilinear"
    save_weights(network, weights, {**MODEL.metadata(), "interpolation": "3"})
    with pytest.raises(FileError, match=r"interpolation in its metadata is '3'\. Export it again\."):
        as_trained(MODEL, weights, None)


def test_weights_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_weights(build_network(ARCHITECTURE), tmp_path / "w.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "w.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_program_says_it_in_its_archive(tmp_path: Path) -> None:
    export_model(MODEL, tmp_path, ["pt2"])
    extra = {"dcdnas.json": ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    assert decoded(json.loads(extra["dcdnas.json"])) == SAID


@pytest.mark.slow
def test_onnx_models_say_it_and_what_batch_they_take(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    export_model(MODEL, tmp_path, ["onnx"])
    for name, batch in (("model.onnx", ("batch", 0)), ("model-batch1.onnx", ("", 1))):
        model = onnx.load(tmp_path / name)
        assert decoded({p.key: p.value for p in model.metadata_props}) == SAID
        for tensor in (*model.graph.input, *model.graph.output):
            axis = tensor.type.tensor_type.shape.dim[0]
            assert (axis.dim_param, axis.dim_value) == batch


def test_names_that_do_not_fit_the_classes_are_refused(tmp_path: Path) -> None:
    export_model(replace(MODEL, labels=("only", "two")), tmp_path, ["config"])
    with pytest.raises(FileError, match="label_names has 2 names for 3 classes"):
        read_model(tmp_path / "config.yaml")


def test_weights_that_nobody_gave_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`dcdnas train` makes them"):
        export_model(MODEL, tmp_path, ["torch"])


def images(*names: str) -> Images:
    labels = torch.tensor([0, 1, 2, 1])
    return Images("set", 0, torch.zeros(4, 1, 2, 2, dtype=torch.uint8), labels, names, (0.5,), (1.0,), torch.arange(4))


def test_labels_follow_the_names_and_not_their_order() -> None:
    mapped = ordered_as(images("a", "b", "c"), ("c", "a", "b"))
    assert [mapped.classes[i] for i in mapped.labels] == ["a", "b", "c", "b"]
    assert ordered_as(mapped, ("a", "b", "c")).labels.tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("names", [("a", "b", "d"), ("a", "b"), ("a", "b", "c", "d"), ("a", "b", "b")])
def test_other_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="other classes than the network was trained on"):
        ordered_as(images("a", "b", "c"), names)


IMAGES = {
    "classes": [f"class {n}" for n in range(10)],
    "mean": [0.2],
    "std": [0.3],
    "shape": [1, 8, 8],
    "train": 8,
    "validation": 2,
    "grey_range": 65535.0,
    "interpolation": "bilinear",
}


@pytest.mark.parametrize(
    ("changes", "known"),
    [({}, True), ({"classes": ["a", "b"]}, False), ({"shape": [3, 8, 8], "mean": [0.2] * 3, "std": [0.3] * 3}, False)],
    ids=["its own", "other classes", "other channels"],
)
def test_a_network_of_a_run_has_the_names_of_images_that_fit_it(tmp_path: Path, changes: dict[str, object], known: bool) -> None:
    run = load_run(write_run(tmp_path / "r", [trial(0, 0.5, 9.0)], images={**IMAGES, **changes}))
    model = model_of(run, run.trials[0])
    assert model.labels == (tuple(IMAGES["classes"]) if known else ())
    assert model.normalisation == (Normalisation((0.2,), (0.3,)) if known else None)
    assert model.grey_range == (65535 if known else None)
    assert model.interpolation == ("bilinear" if known else "bicubic")


@pytest.mark.parametrize(("side", "said"), [(0, "bicubic"), (8, "bicubic"), (16, "bilinear")])
def test_a_network_of_a_smaller_resolution_says_how_its_images_were_made_smaller(tmp_path: Path, side: int, said: str) -> None:
    images = {**IMAGES, "interpolation": "bicubic"}
    run = load_run(write_run(tmp_path / "r", [trial(0, 0.5, 9.0)], images=images, task=TrainingTask(deployed_side=side)))
    assert model_of(run, run.trials[0]).interpolation == said


def test_a_run_that_does_not_say_its_images_exports_without_names(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", [trial(0, 0.5, 9.0)]))
    model = model_of(run, run.trials[0])
    assert (model.labels, model.normalisation) == ((), None)
