"""`dcdnas predict` and all that `dcdnas evaluate` says: pictures get the classes that the same images get as a data set."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Run, command_in, write_project
from PIL import Image
from safetensors import safe_open

from dcdnas.cli._labelled import Wanted, labelled, say_lacks
from dcdnas.cli._output import Output
from dcdnas.core.architecture import Architecture
from dcdnas.data import Images, load, load_test
from dcdnas.export import Model, open_network, read_model, write_config


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, searched_once: Path) -> Path:
    """A project with a network trained for an epoch in ``out/seed-0``, and the test images as pictures."""
    folder = tmp_path_factory.mktemp("trained")
    write_project(folder)
    command_in(searched_once, "export", "done", "--to", "config", "-o", str(folder / "net"), "--quiet")
    command_in(folder, "train", "net/config.yaml", "-d", "npz:some.npz", "--epochs", "1", "-o", "out", "--quiet")
    (folder / "pictures").mkdir()
    with np.load(folder / "some.npz") as arrays:
        images = arrays["test_images"]
    for number, pixels in enumerate(images):
        Image.fromarray(pixels.reshape(28, 28)).save(folder / "pictures" / f"{number:02}.png")
    return folder


@pytest.fixture
def trained(trained_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained_once)
    monkeypatch.setenv("COLUMNS", "80")
    return trained_once


NET = "out/seed-0"


def test_pictures_get_the_answers_that_the_data_set_gets(run: Run, trained: Path) -> None:
    seen = run("predict", NET, "pictures", "--json").json
    answers = [row["predictions"][0]["class"] for row in seen["images"]]
    judged = run("evaluate", NET, "-d", "npz:some.npz", "--json").json
    names = [c["class"] for c in judged["classes"]]
    with np.load("some.npz") as arrays:
        labels = arrays["test_labels"]
    confusion = np.zeros((10, 10), int)
    for label, answer in zip(labels, answers, strict=True):
        confusion[label, names.index(answer)] += 1
    assert confusion.tolist() == judged["confusion"]
    assert judged["accuracy"] == np.trace(confusion) / 40


def test_the_highest_classes_are_named_in_order_with_their_probabilities(run: Run, trained: Path) -> None:
    (row,) = run("predict", NET, "pictures/03.png", "-k", "10", "--json").json["images"]
    values = [p["probability"] for p in row["predictions"]]
    assert (row["image"], len(values)) == ("pictures/03.png", 10)
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1)
    table = run("predict", NET, "pictures/03.png", "-k", "2").out
    assert f"{row['predictions'][0]['class']} " in table
    assert f"{row['predictions'][1]['class']} {100 * values[1]:.1f}\N{NO-BREAK SPACE}%" in table


def test_csv_has_a_row_for_each_picture_and_class(run: Run, trained: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("predict", NET, "pictures", "-k", "2", "--csv").out)))
    assert [(r["image"], r["rank"]) for r in rows[:3]] == [
        ("pictures/00.png", "1"), ("pictures/00.png", "2"), ("pictures/01.png", "1"),
    ]  # fmt: skip
    assert len(rows) == 80
    assert run("predict", NET, "pictures", "--csv", "--json").code == 2


def test_pictures_that_cannot_be_read_are_counted_named_and_bounded(run: Run, trained: Path, tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    sources = ("predict", NET, "pictures/00.png", "pictures/01.png", str(tmp_path), "--json")
    said = run(*sources)
    assert said.code == 7
    assert (len(said.json["images"]), len(said.json["unreadable"])) == (2, 7)
    assert "7 of 9 pictures could not be read." in said.err
    assert "4.png: no readable picture" in said.err
    assert "5.png" not in said.err
    assert "And 2 more." in said.err
    assert [run(*sources, "--skip-damaged", bound).code for bound in ("6", "7", "77%", "78%")] == [7, 0, 7, 0]


def test_what_is_not_there_is_said(run: Run, trained: Path) -> None:
    assert "gone: no such file or folder" in run("predict", "gone", "pictures").err
    said = run("predict", NET, "gone.png")
    assert (said.code, "gone.png: no such file or folder" in said.err) == (7, True)


def deep_set(root: Path, dark: int, bright: int) -> str:
    """Eight pictures of 16 bits a part in two classes that differ in their brightness alone."""
    for place in (f"{part}/{name}" for part in ("train", "test") for name in ("dark", "bright")):
        (root / place).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((8, 8), (dark if "dark" in place else bright) - number, np.uint16)
            Image.fromarray(pixels).save(root / place / f"{number}.png")
    return f"folder:{root}"


def test_pictures_of_more_than_8_bits_are_scaled_as_the_training_scaled_its_own(run: Run, project: Path) -> None:
    settings = {"channels": (8,), "depth": 1, "strides": (1,), "stem_channels": 8, "stem": "small"}
    write_config(Model(Architecture("resnet", settings, {}, (3, 8, 8), 2)), "net.yaml")
    name = deep_set(project / "deep", 200, 60_000)
    assert run("train", "net.yaml", "-d", name, "--epochs", "1", "-o", "out").code == 0
    config = project / NET / "config.yaml"
    assert read_model(config).grey_range == 65535
    with safe_open(project / NET / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["grey_range"]) == 65535
    seen = run("predict", NET, "deep/test", "--json")
    answers = [row["predictions"][0] for row in seen.json["images"]]
    test = load_test(load(name, 8))
    logits = open_network(NET).outputs(test)[0].softmax(1)
    assert [a["probability"] for a in answers] == pytest.approx(logits.max(1).values.tolist(), abs=1e-6)
    assert [a["class"] for a in answers] == [test.classes[number] for number in logits.argmax(1)]
    other = deep_set(project / "other", 200, 1000)
    judged = run("evaluate", NET, "-d", other)
    assert [said.code for said in (seen, judged)] == [0, 0]
    assert "does not record" not in seen.err + judged.err
    config.write_text(config.read_text().replace("grey_range", "was"))
    assert run("predict", NET, "deep/test").err.count("does not record the range of grey pictures") == 1
    assert "scaled by their own range, 0 to 1023" in " ".join(run("evaluate", NET, "-d", other).err.split())


def test_a_large_folder_is_evaluated_without_pictures_whose_pixels_are_damaged(
    run: Run, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load("some.npz") as arrays:
        images, labels, names = arrays["test_images"], arrays["test_labels"], read_model(Path(NET) / "config.yaml").labels
    for (number, label), part in product(enumerate(labels), ("train", "test")):
        path = tmp_path / part / names[label].replace("/", "-") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number].reshape(28, 28)).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:-200])
    assert (
        run("train", "net/config.yaml", "-d", f"folder:{tmp_path}", "--epochs", "1", "-o", "rgb", "--skip-damaged", "1").code == 0
    )
    command = "evaluate", "rgb/seed-0", "-d", f"folder:{tmp_path}", "--skip-damaged", "1"
    small, told = run(*command, "--json").json, run(*command)
    assert "on 39 images" in told.out
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", "90000")
    large = run(*command, "--json")
    assert {key: large.json[key] for key in ("images", "accuracy", "confusion")} == {
        key: small[key] for key in ("images", "accuracy", "confusion")
    }
    assert "1 damaged left out" in large.err


def test_images_of_another_data_set_are_scaled_as_the_network_expects(tmp_path: Path) -> None:
    name = deep_set(tmp_path / "deep", 200, 1000)
    for grey_range, values in ((65535.0, {4, 1}), (None, {249, 50, 49})):
        images = labelled(Output(), Wanted("net", (3, 8, 8), 2, (), False, grey_range), name, 0.0, test=True)
        assert set(images.pixels.unique().tolist()) == values


def test_classes_and_pictures_that_a_test_lacks_are_named(run: Run, trained: Path, tmp_path: Path) -> None:
    with np.load("some.npz") as file:
        arrays = dict(file)
    kept = arrays["test_labels"] > 1
    np.savez(tmp_path / "few.npz", **arrays | {name: arrays[name][kept] for name in ("test_images", "test_labels")})
    said = run("evaluate", NET, "-d", f"npz:{tmp_path / 'few.npz'}")
    assert said.code == 0
    assert "few.npz has no images of T-shirt/top, Trouser." in " ".join(said.err.split())


def test_a_large_folder_is_read_as_needed_to_evaluate_as_it_is_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out, wanted = (
        deep_set(tmp_path / "set", 200, 60_000),
        Output(no_color=True),
        Wanted("it", (3, 8, 8), 2, ("dark", "bright")),
    )
    for test in (False, True):
        monkeypatch.delenv("DCDNAS_DATA_LIMIT", raising=False)
        decoded = labelled(out, wanted, data, 0.0, test)
        monkeypatch.setenv("DCDNAS_DATA_LIMIT", "100")
        as_needed, rows = labelled(out, wanted, data, 0.0, test), torch.arange(8)
        assert (len(decoded.pixels), len(as_needed.pixels)) == (8, 0)
        assert all(map(torch.equal, decoded.batch(rows), as_needed.batch(rows)))


def test_damaged_pictures_and_absent_classes_are_counted_and_some_named(capsys: pytest.CaptureFixture[str]) -> None:
    classes, damaged = tuple(f"c{n}" for n in range(9)), tuple(f"{n}.png: no picture." for n in range(7))
    pixels, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([1, 1])
    images = Images("made", 4, pixels, labels, classes, (0.0,), (1.0,), torch.arange(2), damaged=damaged)
    assert images.counts == [0, 2, *[0] * 7]
    say_lacks(Output(no_color=True), images, "test")
    said = capsys.readouterr().err
    assert "made, test part: 7 damaged left out. 0.png: no picture. 1.png" in said
    assert "4.png: no picture. And 2 more." in said
    assert "5.png" not in said
    assert "the test part of made has no images of c0, c2, c3, c4, c5 and 3 more." in said


def test_an_evaluation_shows_every_class_and_its_mistakes(run: Run, trained: Path) -> None:
    said = run("evaluate", NET, "-d", "npz:some.npz").out
    for word in ("Accuracy ", "Top 5 ", "Macro F1", "ECE ", "Speed ", "images/s", "T-shirt/top", "Confusion matrix"):
        assert word in said
    assert all(len(line) <= 80 for line in said.splitlines() if "Speed" not in line)


def test_an_evaluation_writes_its_tables_and_the_picture(run: Run, trained: Path, tmp_path: Path) -> None:
    said = run("evaluate", NET, "-d", "npz:some.npz", "-o", str(tmp_path / "judged"), "--json").json
    again = json.loads((tmp_path / "judged" / "evaluation.json").read_text())
    assert again == said
    with (tmp_path / "judged" / "confusion.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head[1:] == [row[0] for row in rows] == [c["class"] for c in said["classes"]]
    assert [[int(cell) for cell in row[1:]] for row in rows] == said["confusion"]
    with (tmp_path / "judged" / "classes.csv").open() as file:
        assert [row["class"] for row in csv.DictReader(file)] == head[1:]
    assert (tmp_path / "judged" / "confusion.svg").read_text().startswith("<svg")
    assert said["accuracy_interval"][0] <= said["accuracy"] <= said["accuracy_interval"][1]


def test_an_evaluation_writes_its_tables_though_its_reader_leaves(
    run: Run, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*said: object) -> None:
        raise SystemExit(1)

    monkeypatch.setattr(Output, "show", closed)
    run("evaluate", NET, "-d", "npz:some.npz", "-o", str(tmp_path / "judged"))
    assert (tmp_path / "judged" / "classes.csv").is_file()


@pytest.mark.slow
def test_an_exported_onnx_model_alone_predicts_and_evaluates_the_same(run: Run, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert run("export", NET, "--weights", f"{NET}/model.safetensors", "--to", "onnx", "-o", str(tmp_path)).code == 0
    for name in ("model.onnx", "model-batch1.onnx"):
        theirs, ours = (run("predict", m, "pictures", "--json").json["images"] for m in (str(tmp_path / name), NET))
        assert [r["predictions"][0]["class"] for r in theirs] == [r["predictions"][0]["class"] for r in ours]
        values = [[p["probability"] for r in rows for p in r["predictions"]] for rows in (theirs, ours)]
        assert values[0] == pytest.approx(values[1], abs=1e-4)
        judged = [run("evaluate", m, "-d", "npz:some.npz", "--json").json for m in (str(tmp_path / name), NET)]
        assert judged[0]["confusion"] == judged[1]["confusion"]


@pytest.mark.parametrize("name", ["model.pt2", "model.safetensors", "network.py"])
@pytest.mark.parametrize("words", [("predict", "pictures"), ("evaluate", "-d", "npz:some.npz")])
def test_a_file_that_is_no_config_and_no_onnx_model_is_refused_as_such(
    run: Run, trained: Path, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(b"\xff\x00{")
    said = run(words[0], str(tmp_path / name), *words[1:])
    assert said.code == 2
    assert f"a {Path(name).suffix} file cannot be used here. Give the folder that" in said.err
    assert "or its model.onnx." in said.err


@pytest.mark.parametrize("words", [("predict", "pictures"), ("evaluate", "-d", "npz:some.npz")])
@pytest.mark.parametrize("source", ["done", "runs/done"])
def test_a_run_is_refused_with_the_command_that_trains_its_network(
    run: Run, searched: Path, source: str, words: tuple[str, ...]
) -> None:
    said = run(words[0], source, *words[1:])
    assert said.code == 2
    assert f"{source} is a run, whose network has to be trained first: `dcdnas train done -d DATA -o DIR`." in said.err


COMMANDS = """
import ast, sys
from dcdnas.cli import main
for words in ast.literal_eval(sys.argv[1]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        assert not end.code
"""


def test_where_the_output_is_ascii_other_characters_are_written_in_a_simpler_way(trained: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    words = [("predict", NET, "pictures/03.png"), ("evaluate", NET, "-d", "npz:some.npz")]
    made = subprocess.run(
        [sys.executable, "-c", COMMANDS, repr(words)], capture_output=True, check=True, env=environment, encoding="ascii"
    )
    predicted, evaluated = made.stdout.split("Test of")
    assert " %" in predicted
    assert "Confusion matrix" in evaluated
