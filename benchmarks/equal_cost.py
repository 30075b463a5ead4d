"""Compares dynamic convolutions, static ones and searched networks at equal multiply-adds, trained alike on CIFAR-10.

    python benchmarks/equal_cost.py -d cifar10:DIR [--rows static dcd] [--seeds 5] [--hours 8] [--folder FOLDER]
    python benchmarks/equal_cost_page.py            # prints the table and draws the figure of the results so far

All networks are MobileNetV2-like, for 32x32 images, and as wide as `BUDGET` allows. `static-twice` has twice the budget, which
shows how many multiply-adds a gain is worth. A row named after an operator has it in every 1x1 and depthwise layer of the blocks,
or only in every depthwise layer if the operator filters each channel separately; `ghost` is in the 1x1 layers, without its inner
activation in the second one, as in GhostNet; `dyrelu` and `dyshiftmax` are static networks
with these activations in the blocks. `search` is the result of a search with the
default sampler in a space where the 1x1 layers of each stage, all depthwise layers and all activations are chosen among those of
the other rows, and depth, kernel size and expansion are searched.
`random` is the same search with random proposals. `search-static` is the first search with static layers only, which shows what
depth, kernel size and expansion gain without dynamic convolutions. All three train equally many networks, and every seed has its
own search, so the variation over seeds includes that of the searches.

Every network of the table is trained with one recipe on the same 20,000 training images, for 15 epochs. The searches train on
these images too, and hold some of them out for validation. The test images are used once, at the end of a network's training.

Each finished training is stored as a line of `equal_cost.jsonl` beside this file, and each search as a run in the folder, so
that a later call resumes. After `--hours` hours no further training or search is started. Other processes may train other rows
at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from result_lines import rows_of

import dcdnas
from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.core.task import TrainingTask
from dcdnas.core.yaml_lines import Document, as_yaml
from dcdnas.cost import notations, price
from dcdnas.data import Split, load, load_test
from dcdnas.kernels import in_use
from dcdnas.networks import build_network
from dcdnas.space.reading.reader import Compiler
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
BUDGET, TWICE = "2MFLOPs", "4MFLOPs"
IMAGES, EPOCHS = 20_000, 15
TRIALS, PROXY_EPOCHS = 24, 4
RATE = 0.4
RECIPE = TrainingTask(epochs=EPOCHS, lr=RATE, augment="crop-flip")

Operator = Mapping[str, Any] | None
SPACE: dict[str, Any] = {
    "format": "dcdnas/space-1", "network": "mobilenetv2", "input": [3, 32, 32], "classes": 10,
    "settings": {
        "channels": [16, 32, 64], "strides": [1, 2, 2], "stem_channels": 16, "stem_stride": 2, "head_channels": 128,
        "width": {"fit": [0.1, 4.0]}, "depth": 2, "kernel_size": 3, "expansion": 3,
    },
}  # fmt: skip
LAYERS, POINTWISE, DEPTHWISE = "*.expand, *.project, *.depthwise", "*.expand, *.project", "*.depthwise"
DYNET = {"num_kernels": 6, "mixing": "channel", "act": "sigmoid", "reduction": "none", "guide": "shared"}
UNIFORM: dict[str, dict[str, dict[str, Operator]]] = {
    "static": {LAYERS: {"static": None}},
    "dcd": {LAYERS: {"dcd": None}},
    "odconv-1": {LAYERS: {"odconv": {"num_kernels": 1}}},
    "odconv-4": {LAYERS: {"odconv": {"num_kernels": 4}}},
    "condconv": {LAYERS: {"condconv": None}},
    "dyconv": {LAYERS: {"dyconv": None}},
    "dynet": {LAYERS: {"dyconv": DYNET}},
    "kernel-warehouse-1": {LAYERS: {"kernel-warehouse": {"budget": 1}}},
    "kernel-warehouse-half": {LAYERS: {"kernel-warehouse": {"budget": 0.5}}},
    "ddf": {DEPTHWISE: {"ddf": None}},
    "idconv": {DEPTHWISE: {"idconv": None}},
    "lsconv": {DEPTHWISE: {"lsconv": None}},
    "atconv": {DEPTHWISE: {"atconv": None}},
    "mixconv": {DEPTHWISE: {"mixconv": None}},
    "ghost": {"*.expand": {"ghost": None}, "*.project": {"ghost": {"act": "none"}}},
    "dyrelu": {LAYERS: {"static": None}},
    "dyshiftmax": {LAYERS: {"static": None}},
    "static-twice": {LAYERS: {"static": None}},
}
"""Row -> pattern of layers -> their operator and its settings; all other layers are static."""

ACTIVATION = {"dyrelu": "dyrelu", "dyshiftmax": "dyshiftmax"}
"""Row -> the activation of its blocks, where it is not the backbone's own."""

SEARCHES = {"search": "auto", "random": "random", "search-static": "auto"}
"""Row -> sampler."""

SEARCHED: dict[str, Any] = SPACE | {
    "name": "equal-cost",
    "settings": SPACE["settings"] | {
        "depth": [1, 2, 3],
        "kernel_size": {"share": "network", "*": [3, 5]},
        "expansion": {"share": "network", "*": [2, 3, 4]},
    },
    "slots": {
        POINTWISE: {
            "share": "stage", "static": None, "dcd": {"latent_dim": ["half", "auto"]}, "odconv": {"num_kernels": [1, 4]},
            "condconv": None, "dyconv": None, "kernel-warehouse": {"budget": [0.5, 1]}, "ghost": None,
        },
        DEPTHWISE: {
            "share": "network", "static": None, "dcd": None, "odconv": {"num_kernels": [1, 4]}, "ddf": None, "idconv": None,
            "lsconv": None, "atconv": None, "mixconv": None,
        },
    },
    "proxy": {"epochs": PROXY_EPOCHS, "lr": RATE, "augment": "crop-flip"},
}  # fmt: skip
STATIC = SEARCHED | {"name": "equal-cost-static", "slots": {}}
DYNAMIC = SEARCHED | {
    "settings": SEARCHED["settings"] | {"activation": {"share": "network", "*": ["relu6", "dyrelu", "dyshiftmax"]}},
}  # fmt: skip
SPACES = {"search": DYNAMIC, "random": DYNAMIC, "search-static": STATIC}


def main() -> None:
    """Runs the missing trainings and searches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--data", required=True, help="the CIFAR-10 images, e.g. cifar10:DIR")
    parser.add_argument("--rows", nargs="+", default=[*UNIFORM, *SEARCHES], choices=[*UNIFORM, *SEARCHES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument(
        "--folder", type=Path, default=Path("equal-cost"), help="of the images and searches; a search resumes only in its folder"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    given = parser.parse_args()
    given.folder = given.folder.resolve()
    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ["DCDNAS_RUNS"] = str(given.folder / "runs")
    torch.set_num_threads(1)
    keep_freed_memory()
    train_missing(given)


def train_missing(given: argparse.Namespace) -> None:
    """Runs the missing trainings seed by seed, so that the results so far can be compared at any time."""
    end = time.monotonic() + 3600 * given.hours
    data = some_images(given.data, given.images, given.folder)
    there = {(row["row"], row["seed"]) for row in rows_of(given.results)}
    for seed, name in product(range(given.seeds), given.rows):
        if (name, seed) not in there and time.monotonic() < end:
            row = trained(name, seed, data, given)
            with given.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


def some_images(data: str, count: int, folder: Path) -> str:
    """Returns an archive of `count` training images, which are chosen once, and all test images."""
    path = folder / f"images-{count}.npz"
    if not path.exists():
        images = load(data)
        test = load_test(images)
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:count]
        np.savez(
            path, train_images=images.pixels[chosen].numpy(), train_labels=images.labels[chosen].numpy(),
            test_images=test.pixels.numpy(), test_labels=test.labels.numpy(), classes=np.array(images.classes),
        )  # fmt: skip
    return f"npz:{path}"


def trained(name: str, seed: int, data: str, given: argparse.Namespace) -> dict[str, Any]:
    """Trains the network of a row on all images and evaluates it on the test images; returns its line of the results."""
    begun = time.process_time()
    architecture = uniform(name) if name in UNIFORM else found_by(name, seed, data, given)
    chosen = time.process_time()
    images = load(data)
    with seeded(seed):
        network = build_network(architecture)
    score = train(network, Split(images, load_test(images)), replace(RECIPE, epochs=given.epochs, seed=seed))
    cost = price(architecture)
    return {
        "row": name, "seed": seed, "accuracy": score.values["accuracy"], "images": given.images, "epochs": given.epochs,
        "lr": RATE, "flops": cost["flops"], "params": cost["params"], "search_seconds": round(chosen - begun, 1),
        "seconds": round(time.process_time() - chosen, 1), "architecture": architecture.to_dict(), "kernels": in_use(),
        "torch": torch.__version__, "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip


def uniform(name: str) -> Architecture:
    """The network with one operator in all layers of its row's pattern, as wide as the budget allows."""
    slots = {pattern: {"share": "network", **operator} for pattern, operator in UNIFORM[name].items()}
    settings = SPACE["settings"] | ({"activation": ACTIVATION[name]} if name in ACTIVATION else {})
    content = SPACE | {"name": name, "settings": settings, "slots": slots}
    space = Compiler(Document("equal_cost.py", content, {})).space()
    space = space.filling(parse_budgets([TWICE if name == "static-twice" else BUDGET], notations()))
    return space.architecture(space.decide(lambda _, options: options[0]))


def found_by(name: str, seed: int, data: str, given: argparse.Namespace) -> Architecture:
    """Runs or resumes a search; returns its best network."""
    file = given.folder / f"{name}.yaml"
    file.write_text(as_yaml(SPACES[name]), encoding="utf-8")
    run = dcdnas.search(
        file, BUDGET, trials=given.trials, data=data, seed=seed, name=f"{name}-{seed}", executor="inline", sampler=SEARCHES[name]
    )
    assert run.best is not None
    return run.best.architecture


if __name__ == "__main__":
    main()
