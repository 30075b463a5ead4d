"""Measures how the accuracy of an operator depends on the learning rate, for the networks and images of `equal_cost.py`.

    python benchmarks/learning_rates.py -d cifar10:DIR [--rows static dcd] [--rates 0.1 0.2 0.4] [--epochs 4] [--seeds 1]

Networks of equal multiply-adds are compared at one learning rate, so an operator can seem better or worse only because the rate
suits it. Each row is trained with each rate on 18,000 of the 20,000 training images, and its accuracy is read on the other 2,000;
the test images are not read.

Results are lines of `learning_rates.jsonl`; a training whose line is there is not repeated. The printed table has validation
accuracies in per cent, the mean over the seeds and, from two seeds on, the standard deviation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from equal_cost import IMAGES, RECIPE, UNIFORM, some_images, uniform
from result_lines import rows_of

from dcdnas.data import load, split
from dcdnas.networks import build_network
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
RATES = (0.05, 0.1, 0.2, 0.4, 0.8)
VALIDATION = 0.1


def main() -> None:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-d", "--data", help="CIFAR-10, like cifar10:DIR; without it, the table of the existing results is printed"
    )
    parser.add_argument("--rows", nargs="+", default=list(UNIFORM), choices=list(UNIFORM))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("equal-cost"), help="folder for the images")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    if given.data:
        given.folder.mkdir(parents=True, exist_ok=True)
        train_missing(given, some_images(given.data, IMAGES, given.folder.resolve()))
    print("\n".join(table(rows_of(given.results), given.epochs)))


def train_missing(given: argparse.Namespace, data: str) -> None:
    """Trains seed by seed and rate by rate, so that rows can be compared at any time."""
    for seed, rate, row in product(range(given.seeds), given.rates, given.rows):
        key = {"row": row, "rate": rate, "seed": seed, "epochs": given.epochs}
        if any(key.items() <= line.items() for line in rows_of(given.results)):
            continue
        line = key | trained(row, rate, seed, given.epochs, data)
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


def trained(row: str, rate: float, seed: int, epochs: int, data: str) -> dict[str, Any]:
    """Trains one network; its accuracy and loss on the held-out images."""
    with seeded(seed):
        network = build_network(uniform(row))
    score = train(network, split(load(data), VALIDATION), replace(RECIPE, epochs=epochs, lr=rate, seed=seed))
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return {"accuracy": score.values["accuracy"], "loss": score.values["loss"], "torch": torch.__version__, "machine": machine}


def table(lines: list[dict[str, Any]], epochs: int) -> list[str]:
    """The lines of the table for trainings of so many epochs."""
    lines = [line for line in lines if line["epochs"] == epochs]
    rates = sorted({line["rate"] for line in lines})
    rows = [f"| row | {' | '.join(f'{rate:g}' for rate in rates)} |", "| --- |" + " ---: |" * len(rates)]
    for row in (row for row in UNIFORM if any(line["row"] == row for line in lines)):
        of = [[100 * line["accuracy"] for line in lines if (line["row"], line["rate"]) == (row, rate)] for rate in rates]
        rows.append(f"| `{row}` | {' | '.join(map(_cell, of))} |")
    return rows


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    return f"{statistics.fmean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
