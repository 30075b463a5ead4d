"""Takes a network from its search to predictions in onnxruntime, command by command, on one thread.

    python benchmarks/deployed.py -o FOLDER [--network N|best|knee] [--epochs N] [--trials N] [--space SPACE] [-b BUDGET]
        [-d DATA]

The commands are those of docs/using.md, on the images that ship; a path in DATA must be absolute. Existing results in the folder
are reused: `dcdnas train --resume` resumes, and an existing run is kept. At the end, 32 test images of each class are written as
PNG files, and a few lines of plain onnxruntime, without dcdnas, count how many of them the exported models classify correctly,
and time the models in turns on one image and one thread. The processor seconds of each command are printed after it. The defaults
take a few minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from clock import Calls, turns
from PIL import Image

from dcdnas.data import load, load_test

EACH = 32
"""Number of pictures of each class."""


def said(folder: Path, *words: str) -> None:
    """Prints a `dcdnas` command, runs it, and prints its processor time."""
    print(f"\n$ dcdnas {' '.join(words)}", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    before = os.times()
    subprocess.run([sys.executable, "-m", "dcdnas", *words], check=True, cwd=folder, env=environment)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"({spent:.0f} s of processor time)", flush=True)


def pictures(data: str, folder: Path) -> None:
    """Writes test images as CLASS/NUMBER.png."""
    test = load_test(load(data))
    labels = test.labels[test.rows].numpy()
    for label, name in enumerate(test.classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in np.flatnonzero(labels == label)[:EACH]:
            pixels = test.batch(test.rows.new_tensor([number]))[0][0].permute(1, 2, 0).numpy()
            Image.fromarray(pixels.squeeze()).save(folder / name / f"{number}.png")


def right(model: Path, folder: Path) -> tuple[int, int]:
    """How many of the pictures a model classifies correctly, and how many there are. A program needs no more code than this."""
    session = onnxruntime.InferenceSession(str(model))
    facts = session.get_modelmeta().custom_metadata_map
    mean, std, names = (json.loads(facts[name]) for name in ("mean", "std", "label_names"))
    colours, found = "L" if len(mean) == 1 else "RGB", []
    for path in sorted(folder.rglob("*.png")):
        pixels = np.asarray(Image.open(path).convert(colours), np.float32).reshape(*session.get_inputs()[0].shape[2:], -1)
        x = (pixels / 255 - np.float32(mean)) / np.float32(std)
        logits = session.run(None, {"images": x.transpose(2, 0, 1)[None]})[0]
        found.append(names[logits.argmax()] == path.parent.relative_to(folder).as_posix())
    return sum(found), len(found)


def timed(models: Sequence[Path], rounds: int = 55) -> None:
    """Prints the processor time of each model for one image, measured in turns, and the size of its file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(str(model), options) for model in models]
    image = {"images": np.zeros((1, *sessions[0].get_inputs()[0].shape[1:]), np.float32)}
    calls: Calls = {model.name: partial(session.run, None, image) for model, session in zip(models, sessions, strict=True)}
    for model, (name, times) in zip(models, turns(calls, rounds, 60, torch.device("cpu")).items(), strict=True):
        low, middle, high = statistics.quantiles(times, n=4)
        print(f"{name}: {model.stat().st_size:,} bytes, {middle:.2f} ms ({low:.2f}-{high:.2f}) for one image; n = {len(times)}")


def main() -> None:
    """Runs all commands, then classifies the pictures and times the models in onnxruntime."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--space", default="fashion-quick")
    parser.add_argument("-b", "--budget", default="1MFLOPs")
    parser.add_argument("-d", "--data", default="fashion-mini")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--network", default="best")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    if not (given.output / "runs" / "small").exists():
        short = [
            "--epochs",
            "3",
            "-n",
            str(given.trials),
            "--confirm",
            "0",
            "--name",
            "small",
            "--executor",
            "local",
            "--jobs",
            "1",
        ]
        said(given.output, "search", given.space, "-b", given.budget, "-d", given.data, *short)
    training = ["--epochs", str(given.epochs), "--set", "augment=crop-flip", "-o", "trained", "--resume"]
    said(given.output, "train", "small", "--trial", given.network, "-d", given.data, *training)
    said(given.output, "evaluate", "trained", "-d", given.data)
    said(given.output, "export", "trained", "--quantize", "int8", "-o", "net")
    for name in ("model.onnx", "model-int8.onnx"):
        said(given.output, "evaluate", f"net/{name}", "-d", given.data)
    pictures(given.data, given.output / "pictures")
    said(given.output, "predict", "net/model.onnx", "pictures", "-k", "1", "--csv")
    print(f"\nplain onnxruntime {onnxruntime.__version__}:")
    models = [given.output / "net" / name for name in ("model.onnx", "model-batch1.onnx", "model-int8.onnx")]
    for model in models:
        good, all_of_them = right(model, given.output / "pictures")
        print(f"{model.name}: {good} of {all_of_them} pictures classified correctly")
    timed(models)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {', '.join(f'{value:.1f}' for value in os.getloadavg())}")


if __name__ == "__main__":
    main()
