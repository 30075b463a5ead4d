"""Measures reading camera-sized pictures during training: images per second against torch's DataLoader with Pillow, and memory.

A folder of JPEGs of 4000x3000 pixels is generated: a few different pictures under many names, so that the disk is not what is
measured. Both sides cut random resized crops of 224x224 from the full-size pictures, with as many workers as there are CPUs. They
take turns, so that other load slows both alike. Peak memory is that of a separate process, which scans the folder and trains a
small network on the first pictures.

    python benchmarks/loader.py [pictures] [rounds]
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import Crops, Images, Split, load
from dcdnas.networks import build_network
from dcdnas.training.augment import drawn_crops
from dcdnas.training.loop import Training, seeded

PICTURES, ROUNDS, BATCH, SIDE, DIFFERENT = 20_000, 5, 16, 224, 8
SIZE = 4000, 3000
BATCHES = 6
"""Number of batches per round on each side."""

STEPS = 6
"""Number of steps of the training whose memory is measured, each on 32 images in four accumulated parts."""

NETWORK = Architecture("mobilenetv2", {"width": 0.35}, {}, (3, SIDE, SIDE), 2)


def generate(root: Path, count: int) -> None:
    """Generates pictures of smooth shapes and noise, whose JPEGs are about as large as a camera's."""
    draw = np.random.default_rng(0)
    for name in "ab":
        (root / "train" / name).mkdir(parents=True)
    for number in range(count):
        path = root / "train" / "ab"[number % 2] / f"{number:06}.jpg"
        if number >= DIFFERENT:
            os.link(root / "train" / "ab"[number % 2] / f"{number % DIFFERENT:06}.jpg", path)
            continue
        shapes = Image.fromarray(draw.integers(0, 256, (30, 40, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
        noise = draw.normal(0, 6, (SIZE[1], SIZE[0], 1)).astype(np.float32)
        Image.fromarray((np.asarray(shapes) + noise).clip(0, 255).astype(np.uint8)).save(path, quality=90)


class Plain(Dataset[tuple[Tensor, int]]):
    """The usual data set: opens, converts, crops and resizes one picture at a time."""

    def __init__(self, root: Path, crops: Crops) -> None:
        self.paths, self.crops = sorted((root / "train").rglob("*.jpg")), crops

    def __len__(self) -> int:
        return len(self.crops.draws)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        path = self.paths[number]
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        left, top, width, height = self.crops.of(number).boxes(picture.height, picture.width)[0].tolist()
        box = (left, top, left + width, top + height)
        small = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1), int(path.parent.name == "b")


def plain(root: Path, seed: int) -> Iterator[Tensor]:
    """Yields batches of torch's DataLoader."""
    data = Plain(root, drawn_crops(BATCH * BATCHES, 0.08, seed))
    for x, _ in DataLoader(data, BATCH, num_workers=os.cpu_count() or 1):
        yield x


def ours(images: Images, seed: int) -> Iterator[Tensor]:
    """Yields batches of dcdnas."""
    plan = torch.arange(BATCH * BATCHES).split(BATCH)  # type: ignore[no-untyped-call]
    for x, _ in images.batches((rows, drawn_crops(BATCH, 0.08, seed, number)) for number, rows in enumerate(plan)):
        yield x


def speed(batches: Iterator[Tensor]) -> float:
    """Images per second, including the start of the workers."""
    start = time.perf_counter()
    count = sum(len(x) for x in batches)
    return count / (time.perf_counter() - start)


def train(root: Path) -> None:
    """Scans the folder and trains for a few steps; prints how long the scan took, and the peak memory."""
    start = time.perf_counter()
    images = load(f"folder:{root}", SIDE, decoded=0)
    looked = time.perf_counter() - start
    some = Split(images.take(torch.arange(32 * STEPS)), images.take(torch.arange(32)))
    for _ in some.train.batches((rows, None) for rows in torch.arange(32 * STEPS).split(32)):  # type: ignore[no-untyped-call]
        pass
    loading = peak()
    task = TrainingTask(batch_size=32, augment="resized-crop", norm_batches=2, accumulate=4)
    with seeded(0) as generator:
        training = Training(build_network(NETWORK), some, task, generator)
        for _ in training.steps():
            pass
        training.read()
    print(
        f"{len(images):,} pictures: first scan in {looked:.0f} s; peak memory {loading:.2f} GiB for loading, "
        f"{peak():.2f} GiB with the training of {NETWORK.network} 0.35"
    )


def peak() -> float:
    """Peak memory of this process in GiB."""
    said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(said["VmHWM"].split()[0]) / 2**20


def main(count: int, rounds: int) -> None:
    """Generates the pictures; prints both speeds, their ratio, and the memory."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DCDNAS_CACHE"] = f"{folder}/cache"
        root = Path(folder) / "pictures"
        generate(root, count)
        size = np.mean([path.stat().st_size for path in list((root / "train/a").iterdir())[:DIFFERENT]]) / 1e6
        print(f"{count:,} JPEGs of {SIZE[0]}x{SIZE[1]}, {size:.1f} MB each ({DIFFERENT} different ones); {os.cpu_count()} CPUs")
        print(f"{platform.machine()}, torch {torch.__version__}, Pillow {PIL.__version__}, load {os.getloadavg()[0]:.1f}")
        subprocess.run([sys.executable, __file__, "--train", str(root)], check=True)
        images = load(f"folder:{root}", SIDE, decoded=0)
        speeds = [(speed(plain(root, seed)), speed(ours(images, seed))) for seed in range(rounds)]
    theirs, own, ratios = ([*of] for of in zip(*((a, b, b / a) for a, b in speeds), strict=True))
    print(f"DataLoader {statistics.median(theirs):.1f} images/s, dcdnas {statistics.median(own):.1f} (medians of {rounds})")
    print(f"ratio {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(Path(sys.argv[2]))
    else:
        given = [int(text) for text in sys.argv[1:]]
        main(*given, *(PICTURES, ROUNDS)[len(given) :])
