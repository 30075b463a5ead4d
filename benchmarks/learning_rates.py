"""Measures how the accuracy of an operator depends on the learning rate, for the networks and images of `equal_cost.py`.

    python benchmarks/learning_rates.py -d cifar10:DIR [--rows static dcd] [--rates 0.1 0.2 0.4] [--epochs 4] [--seeds 1]

Networks of equal multiply-adds are compared at one learning rate, so an operator can seem better or worse only because the rate
suits it. Each row is trained with each rate on 18,000 of the 20,000 training images, and its accuracy is read on the other 2,000;
the test images are not read.

Results are lines of `learning_rates.jsonl`; a training whose line is there is not repeated. The printed table has validation
accuracies in per cent, the mean over the seeds and, from two seeds on, the standard deviation.
"""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from equal_cost import RECIPE, UNIFORM, uniform
from result_lines import rows_of
from row_trainings import options, train_missing

from dcdnas.data import load, split
from dcdnas.networks import build_network
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
RATES = (0.05, 0.1, 0.2, 0.4, 0.8)
VALIDATION = 0.1


def main() -> None:
    """Trains what is missing seed by seed and rate by rate, so that rows can be compared at any time, and prints the table."""
    parser = options(__doc__, list(UNIFORM), RESULTS)
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    keys = (
        {"row": row, "rate": rate, "seed": seed, "epochs": given.epochs}
        for seed, rate, row in product(range(given.seeds), given.rates, given.rows)
    )
    train_missing(given, keys, trained)
    print("\n".join(table(rows_of(given.results), given.epochs)))


def trained(key: dict[str, Any], data: str) -> dict[str, Any]:
    """Trains one network; its accuracy and loss on the held-out images."""
    with seeded(key["seed"]):
        network = build_network(uniform(key["row"]))
    recipe = replace(RECIPE, epochs=key["epochs"], lr=key["rate"], seed=key["seed"])
    score = train(network, split(load(data), VALIDATION), recipe)
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
