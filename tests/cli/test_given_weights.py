"""Weights and teachers that are given apart: the class order, normalisation and grey range of their own training count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Run
from PIL import Image
from test_predict import deep_set

from dcdnas.cli._output import Output
from dcdnas.cli._start import start_of
from dcdnas.core.architecture import Architecture
from dcdnas.data import load
from dcdnas.export import Model, open_network, read_model, save_weights, write_config
from dcdnas.networks import build_network

SETTINGS = {"channels": (8,), "depth": 1, "strides": (1,), "stem_channels": 8, "stem": "small"}
NET = "out/seed-0"


def stripes(path: str, names: tuple[str, str], brightness: int = 255) -> str:
    """Images of 8x24 pixels in two classes, whose left or right third is bright."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 128), ("test", 40)):
        labels = np.arange(count) % 2
        images = rng.integers(0, brightness // 4 + 1, (count, 8, 24), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[:, 16 * label : 16 * label + 8] = brightness
        arrays |= {f"{part}_images": images, f"{part}_labels": np.array([sorted(names).index(names[n]) for n in labels])}
    np.savez(path, classes=np.array(sorted(names)), **arrays)
    return f"npz:{path}"


@pytest.fixture
def trained(run: Run, project: Path) -> str:
    """A network of 8x24 pixels, trained on ``own.npz``; returns the name of the data set."""
    write_config(Model(Architecture("resnet", SETTINGS, {}, (1, 8, 24), 2)), "net.yaml")
    name = stripes("own.npz", ("left", "right"))
    said = run("train", "net.yaml", "-d", name, "--epochs", "3", "--set", "batch_size=32", "--set", "augment=none", "-o", "out")
    assert said.code == 0, said.err
    return name


def accuracy(run: Run, *command: str) -> float:
    said = run("evaluate", *command, "--json")
    assert said.code == 0, said.err
    found: float = said.json["accuracy"]
    return found


def test_a_network_that_is_not_square_is_evaluated_on_the_images_that_it_was_trained_on(run: Run, trained: str) -> None:
    assert accuracy(run, NET, "-d", trained) == 1
    said = run("evaluate", NET, "-d", deep_set(Path("deep"), 200, 60_000))
    assert said.code == 2
    assert "takes images of 8x24 pixels, and pictures in files are cut to squares" in said.err.replace("\n", " ")


def test_its_pictures_keep_their_shape_where_they_have_the_networks(run: Run, trained: str) -> None:
    with np.load("own.npz") as arrays:
        images, labels = arrays["test_images"], arrays["test_labels"]
    Path("pictures").mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(f"pictures/{number:02}.png")
    rows = run("predict", NET, "pictures", "-k", "1", "--json").json["images"]
    assert [row["predictions"][0]["class"] for row in rows] == [("left", "right")[label] for label in labels]
    logits = open_network(NET).logits(torch.from_numpy(images).unsqueeze(1)).softmax(1).max(1).values
    assert [row["predictions"][0]["probability"] for row in rows] == pytest.approx(logits.tolist(), abs=1e-6)


def test_the_classes_and_the_normalisation_are_those_of_the_weights_training(run: Run, trained: str) -> None:
    own = read_model("net.yaml")
    other = Model(own.architecture, {}, None, ("right", "left"))
    write_config(other, "other.yaml")
    for config in ("net.yaml", "other.yaml"):
        for file in ("model", "best"):
            weights = f"{NET}/{file}.safetensors"
            assert accuracy(run, config, "--weights", weights, "-d", trained) == 1
            assert open_network(config, weights).labels == ("left", "right")
            assert open_network(config, weights).normalisation == read_model(f"{NET}/config.yaml").normalisation
    assert run("export", "other.yaml", "--weights", f"{NET}/model.safetensors", "--to", "config,torch", "-o", "net").code == 0
    assert read_model("net/config.yaml").labels == ("left", "right")
    assert accuracy(run, "net", "-d", trained) == 1


def test_the_results_in_an_exported_config_are_those_of_its_weights(run: Run, trained: str) -> None:
    training = read_model(f"{NET}/config.yaml").provenance["training"]
    results = {"validation_accuracy", "test_accuracy"}
    for file, lacks in (("model", set()), ("best", results)):
        weights = f"{NET}/{file}.safetensors"
        assert run("export", NET, "--weights", weights, "--to", "config,torch", "-o", file).code == 0
        found = read_model(f"{file}/config.yaml").provenance["training"]
        assert training.keys() - found.keys() == lacks
        assert found["epochs"] == 3
        assert ("test accuracy" in Path(file, "README.md").read_text(encoding="utf-8")) == (not lacks)
    Path("elsewhere.safetensors").write_bytes(Path(NET, "best.safetensors").read_bytes())
    assert run("export", NET, "--weights", "elsewhere.safetensors", "--to", "config,torch", "-o", "other").code == 0
    assert "training" not in read_model("other/config.yaml").provenance


def test_the_interpolation_is_that_of_the_weights_training(run: Run, project: Path) -> None:
    write_config(Model(Architecture("resnet", SETTINGS, {}, (1, 12, 36), 2)), "net.yaml")
    assert run("train", "net.yaml", "-d", stripes("own.npz", ("left", "right")), "--epochs", "1", "-o", "out").code == 0
    for file in ("model", "best"):
        assert run("export", "net.yaml", "--weights", f"{NET}/{file}.safetensors", "--to", "config", "-o", "net").code == 0
        assert read_model("net/config.yaml").interpolation == "bilinear"


@pytest.mark.parametrize(
    ("classes", "labels", "kept"), [(2, (), True), (2, ("left", "right"), True), (2, ("right", "left"), False), (3, (), False)]
)
def test_a_folder_gives_its_classifier_for_the_same_classes_as_its_file_does(
    project: Path, classes: int, labels: tuple[str, ...], kept: bool
) -> None:
    architecture = Architecture("resnet", SETTINGS, {}, (1, 8, 24), classes)
    model = Model(architecture, {}, None, labels)
    write_config(model, "parent/config.yaml")
    save_weights(build_network(architecture), Path("parent/model.safetensors"), model.metadata())
    images = load(stripes("own.npz", ("left", "right")))
    for weights in (Path("parent"), Path("parent/model.safetensors")):
        start = start_of(Output(quiet=True), replace(architecture, classes=2), images, weights, None)
        assert ("classifier.weight" in start.weights) == kept


def test_attentions_are_measured_on_images_as_the_network_expects_them(run: Run, trained: str) -> None:
    dark = stripes("dark.npz", ("right", "left"), 40)
    judged = accuracy(run, NET, "-d", dark)
    measured = run("attention", NET, "-d", trained, "--json").json["accuracy"]
    assert measured == run("attention", NET, "--json").json["accuracy"] == 1
    config = Path(NET, "config.yaml")
    model = read_model(config)
    assert model.normalisation is not None
    other = Model(model.architecture, {}, model.normalisation, ("right", "left"))
    write_config(other, config)
    assert run("attention", NET, "-d", trained, "--json").json["accuracy"] == 0
    assert accuracy(run, NET, "-d", trained) == 0
    assert accuracy(run, NET, "-d", dark) == 1 - judged
    write_config(Model(model.architecture, {}, model.normalisation, ("up", "down")), config)
    said = run("attention", NET, "-d", trained)
    assert said.code == 7
    assert "other classes than the network was trained on" in " ".join(said.err.split())


def test_the_images_of_an_own_task_are_not_taken_for_a_data_set(run: Run, project: Path) -> None:
    architecture = Architecture("resnet", SETTINGS, {}, (1, 8, 8), 2)
    model = Model(architecture, {"recipe": {"data": "task:mine"}})
    write_config(model, "mine/config.yaml")
    save_weights(build_network(architecture), Path("mine/model.safetensors"))
    said = run("export", "mine", "--quantize", "int8")
    assert (said.code, "--quantize int8 needs training images (-d DATA), and mine has none" in said.err) == (2, True)
    said = run("attention", "mine")
    assert (said.code, "mine does not say which images it is for" in said.err) == (2, True)


def test_weights_of_a_network_at_another_size_are_said(run: Run, trained: str) -> None:
    larger = Architecture("resnet", SETTINGS, {}, (1, 16, 48), 2)
    write_config(Model(larger), "larger.yaml")
    Image.new("L", (24, 8)).save("one.png")
    weights = "--weights", f"{NET}/best.safetensors"
    for words in (("evaluate", "-d", trained), ("predict", "one.png"), ("export", "--to", "torch", "-o", "net")):
        for config, said in (("net.yaml", False), ("larger.yaml", True)):
            command = run(words[0], config, *words[1:], *weights)
            assert command.code == 0, command.err
            told = " ".join(command.err.split())
            assert ("was trained on images of 8x24 pixels, and the network takes 16x48. If" in told) == said


def test_a_fresh_training_is_not_said_to_have_a_checkpoints_weights(run: Run, trained: str) -> None:
    origin = {"published": "odconv/od_resnet18", "checkpoint": "od.pth"}
    write_config(Model(read_model("net.yaml").architecture, origin), "imported.yaml")
    assert run("train", "imported.yaml", "-d", trained, "--epochs", "1", "-o", "again").code == 0
    found = read_model("again/seed-0/config.yaml").provenance
    assert (found["published"], "checkpoint" in found) == ("odconv/od_resnet18", False)


def test_weights_beside_a_model_that_has_its_own_are_refused(run: Run, trained: str) -> None:
    assert run("export", NET, "--to", "onnx", "-o", "net").code == 0
    said = run("evaluate", "net/model.onnx", "--weights", "gone.safetensors", "-d", trained)
    assert said.code == 2
    assert "net/model.onnx has its own weights, so --weights gone.safetensors would have no effect." in said.err


def test_a_teacher_of_another_grey_range_is_refused(run: Run, project: Path) -> None:
    write_config(Model(Architecture("resnet", SETTINGS, {}, (3, 8, 8), 2)), "net.yaml")
    wide, narrow = deep_set(project / "wide", 200, 60_000), deep_set(project / "narrow", 200, 1000)
    assert run("train", "net.yaml", "-d", wide, "--epochs", "1", "-o", "out").code == 0
    student = "train", "net.yaml", "--teacher", NET, "--epochs", "1"
    said = run(*student, "-d", narrow, "-o", "second")
    assert said.code == 2
    told = " ".join(said.err.split())
    assert "was trained on grey pictures whose value 65535 is read as 255; in folder:" in told
    assert "that is 1023" in told
    assert run(*student, "-d", wide, "--weights", NET, "-o", "third").code == 0
    training = read_model("third/seed-0/config.yaml").provenance["training"]
    assert (training["teacher"], training["started_from"]) == (NET, NET)
    config = project / NET / "config.yaml"
    config.write_text(config.read_text().replace("grey_range", "was"))
    said = run(*student, "-d", narrow, "-o", "fourth")
    assert said.code == 0
    assert "does not record the range of grey pictures" in " ".join(said.err.split())


def test_a_teacher_of_another_size_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = load(stripes("own.npz", ("left", "right")))
    for size, said in (((8, 24), False), ((16, 20), True)):
        architecture = Architecture("resnet", SETTINGS, {}, (1, *size), 2)
        write_config(Model(architecture), "parent/config.yaml")
        save_weights(build_network(architecture), Path("parent/model.safetensors"))
        teacher = start_of(Output(), architecture, images, None, Path("parent")).teacher
        assert teacher is not None
        assert teacher.network(torch.zeros(2, *images.shape)).shape == (2, 2)
        told = " ".join(capsys.readouterr().err.split())
        assert (
            "was trained on images of 16x20 pixels. Like the new network, it receives those of npz:own.npz at 8x24" in told
        ) == said
