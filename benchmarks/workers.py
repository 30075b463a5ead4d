"""Compares one process with two workers of Ray Train: test accuracy with the same recipe over three seeds.

Two workers normalise the halves of each batch separately and augment them with other random numbers, so the trainings differ, but
their accuracies should agree. The trainings are those of a small network with an ODConv layer on 7,200 images that ship, for four
epochs.

    python benchmarks/workers.py
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.task import TrainingTask
from dcdnas.data import load, split
from dcdnas.engine.executors.ray.together import Workers
from dcdnas.training.full import VALIDATION, Watcher, judged_on_test, train_seeds

SETTINGS = {"channels": (8, 16), "depth": 1, "strides": (2, 2), "expansion": 2, "stem_channels": 8, "head_channels": 16}
NETWORK = Architecture(
    "mobilenetv2",
    {**SETTINGS, "dropout": 0.0},
    {"stage2.block1.expand": LayerChoice("odconv", {"num_kernels": 2})},
    (1, 28, 28),
    10,
)
TASK = TrainingTask(epochs=4, batch_size=128, augment="crop-flip")
SEEDS = (0, 1, 2)


def main() -> None:
    """Prints a line for one process, and a line for two workers."""
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}, seeds {SEEDS}")
    images = load("fashion-mini")
    parts = split(images, VALIDATION)
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            folder, start = Path(name), time.monotonic()
            run = Workers(workers, folder / "workers.log").train if workers > 1 else None
            trained = train_seeds(NETWORK, parts, TASK, SEEDS, folder, Watcher(), run=run, workers=workers)
            reached = [one.test["accuracy"] for one in judged_on_test(trained, images)]
            seconds = time.monotonic() - start
        mean, spread = statistics.mean(reached), statistics.stdev(reached)
        each = ", ".join(f"{100 * value:.1f}" for value in reached)
        said = f"{100 * mean:.1f} ± {100 * spread:.1f} % ({each}), {seconds:.0f} s, load {os.getloadavg()[0]:.0f}"
        print(f"{'one process' if workers == 1 else f'{workers} workers'}: {said}", flush=True)


if __name__ == "__main__":
    main()
