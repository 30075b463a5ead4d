"""A network from its search to pictures in onnxruntime, command by command, on one thread.

    python benchmarks/deployed.py -d cifar10:DIR -o FOLDER [--network N|best|knee] [--epochs N] [--trials N]

The commands are those of docs/using.md; DIR is an absolute path. What a folder has already is not made again: `dcdnas train
--resume` goes on, and a run that is there is kept. At the end 32 test images of each class are written as PNG files, and a few
lines of plain onnxruntime, without dcdnas, count what the exported models get right. The defaults take an hour of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from dcdnas.data import load, load_test

EACH = 32
"""Pictures of each class."""


def said(folder: Path, *words: str) -> None:
    """Runs `dcdnas` with these words, after printing them."""
    print(f"\n$ dcdnas {' '.join(words)}", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-m", "dcdnas", *words], check=True, cwd=folder, env=environment)


def pictures(data: str, folder: Path) -> None:
    """Writes test images as CLASS/NUMBER.png."""
    test = load_test(load(data))
    labels = test.labels[test.rows].numpy()
    for label, name in enumerate(test.classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in np.flatnonzero(labels == label)[:EACH]:
            pixels = test.batch(test.rows.new_tensor([number]))[0][0].permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def right(model: Path, folder: Path) -> tuple[int, int]:
    """How many of the pictures a model gets right, and how many there are; this is all that a program needs."""
    session = onnxruntime.InferenceSession(str(model))
    facts = session.get_modelmeta().custom_metadata_map
    mean, std, names = (json.loads(facts[name]) for name in ("mean", "std", "label_names"))
    found = []
    for path in sorted(folder.glob("*/*.png")):
        x = (np.asarray(Image.open(path).convert("RGB"), np.float32) / 255 - np.float32(mean)) / np.float32(std)
        logits = session.run(None, {"images": x.transpose(2, 0, 1)[None]})[0]
        found.append(names[logits.argmax()] == path.parent.name)
    return sum(found), len(found)


def main() -> None:
    """Says every command and what it says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-d", "--data", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--network", default="best")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    if not (given.output / "runs" / "cifar").exists():
        short = ["--proxy-resolution", "16", "--epochs", "1", "-n", str(given.trials), "--confirm", "0", "--name", "cifar"]
        alone = ["--sampler", "model", "--executor", "local", "--jobs", "1"]
        said(given.output, "search", "cifar10", "-b", "6MFLOPs", "-d", given.data, *short, *alone)
    training = ["--epochs", str(given.epochs), "--set", "augment=crop-flip", "-o", "trained", "--resume"]
    said(given.output, "train", "cifar", "--trial", given.network, "-d", given.data, *training)
    said(given.output, "evaluate", "trained", "-d", given.data)
    said(given.output, "export", "trained", "--quantize", "int8", "-o", "net")
    for name in ("model.onnx", "model-int8.onnx"):
        said(given.output, "evaluate", f"net/{name}", "-d", given.data)
    pictures(given.data, given.output / "pictures")
    said(given.output, "predict", "net/model.onnx", "pictures", "-k", "1", "--csv")
    print(f"\nplain onnxruntime {onnxruntime.__version__}:")
    for name in ("model.onnx", "model-batch1.onnx", "model-int8.onnx"):
        good, all_of_them = right(given.output / "net" / name, given.output / "pictures")
        print(f"{name}: {good} of {all_of_them} pictures right")
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {', '.join(f'{value:.1f}' for value in os.getloadavg())}")


if __name__ == "__main__":
    main()
