"""`dcdnas attention`: of a run's trial, of what `dcdnas train` wrote, and of what has no weights."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path

import pytest
from commands import Run
from PIL import Image

from dcdnas.cli._attention_table import curve
from dcdnas.results import load_run
from dcdnas.results.attention import read_attentions


def dynamic_trial(folder: Path) -> int:
    trials = load_run(folder).trials
    return next(
        t.number for t in trials if t.score and any(c.operator == "odconv" for c in t.architecture.layers.values())
    )  # fmt: skip


def test_a_trial_is_trained_again_as_in_the_search_and_kept(run: Run, searched: Path) -> None:
    folder = searched / "runs" / "done"
    number = dynamic_trial(folder)
    said = run("attention", "done", "--trial", str(number), "--images", "16", "--json")
    assert said.code == 0, said.err
    score = load_run(folder).trials[number].score
    assert score is not None
    assert said.json["accuracy"] == score.values["accuracy"]
    assert said.json["images"] == 16
    assert said.json["weights"].endswith("to the same accuracy")
    kept = read_attentions(folder, number)
    assert kept is not None
    assert kept.accuracy == score.values["accuracy"]
    assert [layer["layer"] for layer in said.json["layers"]] == [layer.layer for layer in kept.layers]
    assert {layer.operator for layer in kept.layers} == {"odconv"}
    assert kept.course is not None
    assert [layer.layer for layer in kept.course.layers] == [layer.layer for layer in kept.layers]
    assert (kept.course.epochs[0], kept.course.epochs[-1]) == (0, score.epochs)
    assert [layer["spreads"] for layer in said.json["course"]["layers"]] == [
        {name: list(curve) for name, curve in layer.spreads.items()} for layer in kept.course.layers
    ]


@pytest.mark.slow
def test_weights_that_were_trained_in_earnest_are_taken_as_they_are(run: Run, searched: Path) -> None:
    number = str(dynamic_trial(searched / "runs" / "done"))
    run("train", "done", "--trial", number, "-d", "npz:some.npz", "--epochs", "1", "-o", "out")
    config = run("attention", "out/seed-0/config.yaml", "-d", "npz:some.npz", "--json").json
    given = run("attention", "done", "--trial", number, "--weights", "out/seed-0/model.safetensors", "--json").json
    assert config["layers"] == given["layers"] != []
    assert config["weights"] == "weights of out/seed-0/model.safetensors"
    assert config["course"] == given["course"]
    assert config["course"]["epochs"] == [1]
    shown = run("attention", "out/seed-0", "-d", "npz:some.npz").out
    assert "odconv" in shown
    assert "is unclear from only 1 reading" in shown
    shutil.copy("out/seed-0/model.safetensors", "elsewhere.safetensors")
    assert (
        run("attention", "out/seed-0", "-d", "npz:some.npz", "--weights", "elsewhere.safetensors", "--json").json["course"]
        is None
    )


def test_damaged_pictures_of_the_training_are_left_out_again(run: Run, searched: Path) -> None:
    for part, name, number in product(("train", "test"), "ab", range(10)):
        folder = searched / "set" / part / name
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), 25 * number).save(folder / f"{number}.png")
    (searched / "set" / "train" / "a" / "1.png").write_bytes(b"damaged")
    number = str(dynamic_trial(searched / "runs" / "done"))
    trained = run("train", "done", "--trial", number, "-d", "folder:set", "--epochs", "1", "--skip-damaged", "1", "-o", "out")
    assert trained.code == 0, trained.err
    again = "attention", "out", "-d", "folder:set"
    said = run(*again)
    assert said.code == 0, said.err
    assert "1 damaged left out" in " ".join(said.err.split())
    (searched / "set" / "train" / "a" / "2.png").write_bytes(b"damaged")
    assert "2 of 20 pictures cannot be read; 1 may be left out." in " ".join(run(*again).err.split())
    assert run(*again, "--skip-damaged", "10%").code == 0
    said = run("attention", "done", "--trial", number, "--skip-damaged", "1")
    assert (said.code, "--skip-damaged 1: the training is repeated as in the search" in said.err) == (2, True)


def test_the_attentions_of_several_networks_are_refused(run: Run, project: Path) -> None:
    said = run("attention", "some-run", "--trial", "front")
    assert said.code == 2
    assert "--trial front is several networks" in said.err


def test_what_has_no_weights_says_where_to_get_some(run: Run, searched: Path) -> None:
    number = str(dynamic_trial(searched / "runs" / "done"))
    run("export", "done", "--trial", number, "--to", "config", "-o", "bare")
    said = run("attention", "bare/config.yaml", "-d", "npz:some.npz")
    assert said.code == 2
    assert "--weights" in said.err
    shutil.copy("some.npz", "other.npz")
    said = run("attention", "done", "--trial", number, "-d", "npz:other.npz")
    assert said.code == 2
    assert "the search trained on npz:some.npz" in said.err


def test_weights_of_another_network_are_refused(run: Run, searched: Path) -> None:
    number = dynamic_trial(searched / "runs" / "done")
    run("train", "done", "--trial", "0", "-d", "npz:some.npz", "--epochs", "1", "-o", "out")
    said = run("attention", "done", "--trial", str(number), "--weights", "out/seed-0/model.safetensors")
    assert said.code == 2
    assert "weights of another network" in said.err
    assert read_attentions(searched / "runs" / "done", number) is None


def test_a_curve_is_drawn_from_its_least_to_its_largest_value() -> None:
    assert curve([0.0, 0.1, None, 0.2]) == "▁▅ █"
    assert curve([i / 100 for i in range(23)]) == "▁▂▂▃▄▄▅▅▆▇▇█"
    assert curve([0.1, 0.1004]) == "▁▁"
    assert curve([None]) == " "
