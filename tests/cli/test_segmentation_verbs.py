"""A segmentation from search to a trained network: what commands, files and pages say, and what is exported of the whole."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from commands import Run, command_in
from PIL import Image
from thoroughness import slow_but

import dcdnas
from dcdnas.cli._mask_prediction import mask_files
from dcdnas.core.architecture import Architecture
from dcdnas.cost import price
from dcdnas.dashboard.background import beside
from dcdnas.export import Model, write_config
from dcdnas.results import load_run

SPACE = """\
format: dcdnas/space-1
name: dense
network: mobilenetv2
head: decoder
input: [3, 16, 16]
classes: 3
settings:
  channels: [8, 16]
  strides: [1, 2]
  stem_channels: 8
  stem_stride: 2
  depth: 1
  expansion: 2
  width: [0.5, 1.0]
  decoder_channels: [8, 16]
  upsampling: [bilinear, ddf-up]
slots:
  "decoder.*.smooth": {share: network, static: , ddf: , odconv: {num_kernels: 2}}
proxy:
  data: npz:some.npz
  epochs: 1
  batch_size: 8
"""
"""Twenty-four networks."""

SEARCH = ("search", "dense.yaml", "-b", "0.6MFLOPs", "--executor", "inline", "--set", "starts=2")


@pytest.fixture(scope="module")
def found_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the run ``done``: four trainings, the best network and the static one confirmed; the best in ``kept``."""
    folder, rng = tmp_path_factory.mktemp("dense"), np.random.default_rng(0)
    (folder / "dense.yaml").write_text(SPACE, encoding="utf-8")
    masks = rng.integers(0, 3, (40, 4, 4)).repeat(4, 1).repeat(4, 2)
    images = (60 * masks[:, None] + rng.integers(0, 60, (40, 3, 16, 16))).astype(np.uint8)
    np.savez(
        folder / "some.npz", train_images=images[:30], train_masks=masks[:30], test_images=images[30:], test_masks=masks[30:],
        classes=np.array(["sky", "road", "tree"]),
    )  # fmt: skip
    command_in(folder, *SEARCH, "-n", "4", "--confirm", "1", "--set", "confirm_top=1", "--name", "done", "--quiet")
    command_in(folder, "train", "done", "-d", "npz:some.npz", "--epochs", "1", "-o", "kept", "--quiet")
    return folder


@pytest.fixture
def found(found_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, as the working folder."""
    shutil.copytree(found_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def check(text: str) -> None:
    assert "mean_iou" in text or "Mean IoU" in text
    assert "accura" not in text.lower()


@pytest.mark.parametrize(
    "command",
    slow_but(
        ["show done", "report done"],
        ["status done", "show done", "trials done", "trials done --json", "compare done best static", "report done"],
    ),
)
def test_every_command_says_mean_iou_and_nothing_of_an_accuracy(run: Run, found: Path, command: str) -> None:
    said = run(*command.split())
    assert said.code == 0, said.err
    check(f"{said.out}{said.err}")


def test_show_has_the_whole_network_with_its_decoder(run: Run, found: Path) -> None:
    said = run("show", "done", "--json").json
    assert said["architecture"]["head"] == "decoder"
    names = [layer["slot"] for layer in said["layers"] if layer["slot"].startswith("decoder")]
    assert names[0] == "decoder.stage2.lateral"
    assert names[-2:] == ["decoder.classifier", "decoder.up"]
    assert sum(layer["flops"] for layer in said["layers"]) == said["cost"]["flops"]
    assert "mobilenetv2 with decoder, 3x16x16 to 3 classes at each pixel" in run("show", "done").out


@pytest.mark.slow
def test_files_and_pages_of_the_run_say_it(found: Path) -> None:
    folder = found / "runs" / "done"
    for name in ("search.yaml", "report.html", "pareto.csv", "front/best.yaml"):
        check((folder / name).read_text(encoding="utf-8"))
    best = load_run(folder).best
    assert best is not None
    with beside(found / "runs") as address:
        for page in ("runs/done", f"runs/done/trials/{best.number}", "runs/done/space", "runs/done/trials.json"):
            with urlopen(f"{address}{page}") as answer:
                text = answer.read().decode("utf-8")
                assert "accura" not in text.lower(), page
                assert f"attention {found}" not in text
                assert page.endswith("space") or "mean_iou" in text or "Mean IoU" in text


@pytest.mark.slow
def test_a_search_goes_on(run: Run, found: Path) -> None:
    assert run("resume", "done", "-n", "5", "--executor", "inline").code == 0
    assert load_run("done").ended == 5


def test_the_config_of_the_best_network_costs_what_the_search_said(run: Run, found: Path) -> None:
    best = load_run("done").best
    assert best is not None
    a = Architecture.read("runs/done/front/best.yaml")
    assert (a.head, a.digest) == ("decoder", best.architecture.digest)
    assert price(a)["flops"] == best.cost["flops"] == run("cost", "runs/done/front/best.yaml", "--json").json["cost"]["flops"]
    assert dcdnas.build("runs/done/front/best.yaml")(torch.zeros(2, 3, 16, 16)).shape == (2, 3, 16, 16)


def test_the_whole_network_is_exported_with_its_weights(run: Run, found: Path) -> None:
    assert run("export", "kept/seed-0", "-o", "net", "--to", "config,torch").code == 0
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(dcdnas.load("net")(x), dcdnas.load("kept/seed-0")(x))
    card = (found / "net" / "README.md").read_text(encoding="utf-8")
    assert "assigns each pixel of 3x16x16 images to one of 3 classes" in card
    assert '`dcdnas predict "this folder" IMAGE... -o masks` writes the predicted masks of pictures.' in card


@pytest.mark.slow
def test_the_whole_network_computes_the_same_in_onnxruntime_and_in_plain_pytorch(run: Run, found: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    said = run("export", "kept/seed-0", "-o", "net", "--to", "config,torch,standalone,onnx,pt2")
    assert said.code == 0, said.err
    network, x = dcdnas.load("net"), torch.randn(3, 3, 16, 16)
    session = onnxruntime.InferenceSession(str(found / "net" / "model.onnx"))
    with torch.no_grad():
        expected = network(x)
    assert expected.shape == (3, 3, 16, 16)
    np.testing.assert_allclose(session.run(None, {"images": x.numpy()})[0], expected.numpy(), rtol=1e-3, atol=1e-4)
    assert "-> (N, 3, 16, 16)" in (found / "net" / "network.py").read_text(encoding="utf-8")
    assert json.loads(session.get_modelmeta().custom_metadata_map["label_names"]) == ["sky", "road", "tree"]


@pytest.mark.slow
def test_the_exported_files_alone_evaluate_and_predict_the_same_and_eight_bits_nearly(run: Run, found: Path) -> None:
    pytest.importorskip("onnxruntime.quantization")
    run("train", "done", "-d", "npz:some.npz", "--epochs", "8", "--set", "lr=0.1", "-o", "out")
    said = run("export", "out", "-o", "net", "--to", "onnx", "--weights", "out/seed-0/model.safetensors", "--quantize", "int8")
    assert said.code == 0, said.err
    assert "mean IoU" in said.out
    pictures_of(found)
    for name in ("model.onnx", "model-batch1.onnx", "model-int8.onnx"):
        theirs, ours = (run("evaluate", m, "-d", "npz:some.npz", "--json").json for m in (f"net/{name}", "out"))
        assert theirs["mean_iou"] == pytest.approx(ours["mean_iou"], abs=0.05 if "int8" in name else 1e-9)
        theirs, ours = (run("predict", m, "pictures", "--json").json["images"] for m in (f"net/{name}", "out"))
        if "int8" not in name:
            assert theirs == ours


@pytest.mark.slow
def test_a_network_is_trained_in_earnest_and_evaluates_to_what_was_said(run: Run, found: Path) -> None:
    trained = run("train", "done", "-d", "npz:some.npz", "--epochs", "2", "-o", "out", "--json").json
    evaluated = run("evaluate", "out/seed-0", "-d", "npz:some.npz", "--json").json
    assert trained["test_mean_iou"] == trained["trainings"][0]["test_mean_iou"]
    assert evaluated["mean_iou"] == pytest.approx(trained["test_mean_iou"], rel=1e-6)  # which was taken in single precision
    assert (found / "out" / "seed-0" / "epochs.csv").read_text().splitlines()[0].split(",")[3:5] == [
        "validation_mean_iou",
        "validation_loss",
    ]
    said = run("evaluate", "out/seed-0", "-d", "npz:some.npz").out
    assert "Test of out/seed-0/model.safetensors on 10 images of npz:some.npz" in said
    assert f"Mean IoU   {100 * evaluated['mean_iou']:.2f} % (95 %: " in said
    assert [c["class"] for c in evaluated["classes"]] == ["sky", "road", "tree"]
    assert np.sum(evaluated["confusion"]) == evaluated["pixels"] == 10 * 256


def pictures_of(folder: Path) -> tuple[Path, Any]:
    """The test images as pictures in two folders, one of them as wide as two; and their masks."""
    with np.load(folder / "some.npz") as arrays:
        images, masks = arrays["test_images"], arrays["test_masks"]
    for number, image in enumerate(images):
        path = folder / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(
            np.pad(image.transpose(1, 2, 0), ((0, 0), (8, 8), (0, 0))) if number == 9 else image.transpose(1, 2, 0)
        ).save(path)
    return folder / "pictures", masks


def test_masks_of_pictures_are_written_and_are_those_that_the_data_set_is_judged_by(run: Run, found: Path) -> None:
    folder, masks = pictures_of(found)
    said = run("predict", "kept", "pictures", "-o", "masks", "--json").json
    assert [row["mask"] for row in said["images"]] == [
        *(f"masks/a/{n}.png" for n in (0, 2, 4, 6, 8)), *(f"masks/b/{n}.png" for n in (1, 3, 5, 7, 9)),
    ]  # fmt: skip
    confusion = np.zeros((3, 3), int)
    for row in said["images"]:
        mask, answer = masks[int(Path(row["image"]).stem)], np.asarray(Image.open(row["mask"]))
        if answer.shape == (16, 32):
            assert (answer[:, :8] == answer[:, 24:]).all()
            assert (answer[:, :8] == 255).all()
            answer = answer[:, 8:24]
        np.add.at(confusion, (mask, answer), 1)
        assert sum(share["share"] for share in row["shares"]) == pytest.approx(1)
        first = row["shares"][0]
        assert first["share"] == pytest.approx((answer == ["sky", "road", "tree"].index(first["class"])).mean())
    assert confusion.tolist() == run("evaluate", "kept", "-d", "npz:some.npz", "--json").json["confusion"]
    legend = (found / "masks" / "classes.csv").read_text().splitlines()
    assert legend == ["value,class,colour", "0,sky,#000000", "1,road,#800000", "2,tree,#008000", "255,,#e0e0c0"]

    refused = run("evaluate", "kept", "-d", "npz:some.npz", "-o", "masks")
    assert (refused.code, "masks has masks of `dcdnas predict`, whose classes.csv would be" in refused.err) == (2, True)
    assert (found / "masks" / "classes.csv").read_text().splitlines() == legend

    rows = run("predict", "kept", "pictures/a", "--csv", "-k", "1").out.splitlines()
    assert rows[0] == "image,rank,class,share,mask"
    assert len(rows) == 6
    assert run("predict", "kept", "pictures/a", "-o", "masks").code == 0  # masks are drawn anew
    assert "Share of it" in run("predict", "kept", "pictures/a").out
    before = (folder / "a" / "0.png").read_bytes()
    for target in ("pictures", "pictures/a"):
        refused = run("predict", "kept", "pictures/a", "-o", target)
        assert (refused.code, "has files that are not masks of an earlier prediction" in refused.err) == (2, True)
    assert (folder / "a" / "0.png").read_bytes() == before


def test_masks_of_many_pictures_are_named_at_once() -> None:
    pictures = [Path(f"pictures/{number}{suffix}") for number in range(4000) for suffix in (".jpg", ".png")]
    begun = time.process_time()
    found = mask_files(Path("masks"), [*pictures, Path("pictures/alone.jpg")])
    assert time.process_time() - begun < 5
    assert {found[pictures[0]], found[pictures[1]], found[Path("pictures/alone.jpg")]} == {
        Path("masks/0.jpg.png"), Path("masks/0.png.png"), Path("masks/alone.png"),
    }  # fmt: skip
    assert len(set(found.values())) == len(pictures) + 1


def test_no_two_pictures_share_a_mask_however_they_are_called() -> None:
    pictures = [Path(name) for name in ("a.jpg", "a.png", "a.jpg.png", "a.jpg.png.jpg", "b.jpg")]
    names = ["a.jpg.png", "a.png.png", "a.jpg.png.png", "a.jpg.png.jpg.png", "b.png"]
    assert list(mask_files(Path("masks"), pictures).values()) == [Path("masks", name) for name in names]


def test_an_evaluation_of_masks_is_written(run: Run, found: Path) -> None:
    said = run("evaluate", "kept", "-d", "npz:some.npz", "-o", "judged", "--json").json
    assert json.loads((found / "judged" / "evaluation.json").read_text()) == said
    assert (found / "judged" / "classes.csv").read_text().splitlines()[0].startswith("class,pixels,iou,iou_low,iou_high")
    assert (found / "judged" / "confusion.svg").read_text().startswith("<svg")
    low, high = said["mean_iou_interval"]
    assert low <= said["mean_iou"] <= high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("evaluate kept -d fashion-mini", "images of 1 channel and 10 classes; the network takes 3 channels and knows 3"),
        ("attention done", "scores pixels (mobilenetv2 with decoder). Allowed: one that classifies whole images."),
        ("train done -d fashion-mini", "fashion-mini has a label for each image, and the network scores pixels"),
        (
            "train done -d npz:some.npz --teacher net -o x",
            "some.npz has masks, a class at each pixel, and --teacher net scores whole",
        ),
        ("search dense.yaml -d fashion-mini", "fashion-mini has a label for each image, and dense scores pixels"),
    ],
)
def test_what_is_for_classifiers_refuses_it_in_a_sentence(run: Run, found: Path, command: str, message: str) -> None:
    small = {"channels": (8, 16), "depth": 1, "strides": (1, 2)}
    write_config(Model(Architecture("mobilenetv2", small, {}, (3, 16, 16), 3)), found / "net" / "config.yaml")
    said = run(*command.split())
    assert said.code != 0
    assert message in " ".join(said.err.split())


def test_images_with_masks_are_described(run: Run, found: Path) -> None:
    said = run("data", "check", "npz:some.npz").out
    assert "3 classes of 3x16x16 images with masks" in said
    assert "pixels a class" in said


@pytest.mark.slow
def test_the_shipped_space_is_searched_from_its_name_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    words = ("search", "segmentation-quick", "-b", "700kFLOPs", "-n", "2", "--epochs", "3", "--confirm", "0")
    said = run(*words, "--executor", "inline")
    assert said.code == 0, said.err
    best = load_run(tmp_path / "runs" / "segmentation-quick-700kFLOPs-1").best
    assert best is not None
    assert best.score is not None
    assert best.score.values["mean_iou"] > 0.15  # all ground is 0.142
