"""Measures how well short trainings rank the networks of `equal_cost.py`, whose test accuracies after 15 epochs are known.

    python benchmarks/short_trainings.py -d cifar10:DIR [--as 16000x4 4000x16] [--rows static dcd] [--seeds 1]

A search of `equal_cost.py` trusts short trainings. Each row of that table is trained by each of several short recipes, written as
training images x epochs: with fewer epochs, or with fewer images for as many epochs as the table's own trainings have. The
trainings are those of a search, on a part of its 16,000 training images, and are read on its 4,000 validation images.

Results are lines of `short_trainings.jsonl`; a training whose line is there is not repeated. The printed table has for each
recipe Kendall's tau between its readings and the mean test accuracies of `equal_cost.jsonl`, with a 95 % bootstrap interval over
the networks; and the mean test accuracy of the three networks that the recipe ranks first by loss.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from equal_cost import RECIPE, UNIFORM, uniform
from equal_cost import RESULTS as LONG
from result_lines import rows_of
from row_trainings import options, train_missing

from dcdnas.core.rank_correlation import kendall_interval, kendall_tau
from dcdnas.data import Split, load, split
from dcdnas.networks import build_network
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
SHORT = ("16000x4", "4000x16", "8000x8", "16000x8")
ROWS = [name for name in UNIFORM if name != "static-twice"]
FIRST = 3


def main() -> None:
    """Trains what is missing seed by seed and recipe by recipe, and prints the table."""
    parser = options(__doc__, ROWS, RESULTS)
    parser.add_argument("--as", dest="recipes", nargs="+", default=list(SHORT), metavar="IMAGESxEPOCHS")
    given = parser.parse_args()
    keys = (
        {"row": row, "recipe": recipe, "seed": seed}
        for seed, recipe, row in product(range(given.seeds), given.recipes, given.rows)
    )
    train_missing(given, keys, trained)
    print("\n".join(table(rows_of(given.results), rows_of(LONG))))


def trained(key: dict[str, Any], data: str) -> dict[str, Any]:
    """Trains one network; its accuracy and loss on the validation images, and the processor time."""
    count, epochs = map(int, key["recipe"].split("x"))
    parts = split(load(data))
    few = split(parts.train, 1 - count / len(parts.train), seed=1).train if count < len(parts.train) else parts.train
    with seeded(key["seed"]):
        network = build_network(uniform(key["row"]))
    begun = time.process_time()
    score = train(network, Split(few, parts.validation), replace(RECIPE, epochs=epochs, seed=key["seed"]))
    return {
        "accuracy": score.values["accuracy"], "loss": score.values["loss"], "images": len(few),
        "seconds": round(time.process_time() - begun, 1), "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip


def table(short: list[dict[str, Any]], long: list[dict[str, Any]]) -> list[str]:
    """The lines of the table: one for each recipe and seed."""
    lines = [
        f"| images x epochs | seed | networks | tau by accuracy | tau by loss | first {FIRST}, % | training, s |",
        "| --- |" + " ---: |" * 6,
    ]
    for recipe, seed in sorted({(line["recipe"], line["seed"]) for line in short}):
        of = [line for line in short if (line["recipe"], line["seed"]) == (recipe, seed)]
        true = [100 * statistics.fmean(one["accuracy"] for one in long if one["row"] == line["row"]) for line in of]
        losses = [-line["loss"] for line in of]
        found = [ranked(values, true) for values in ([line["accuracy"] for line in of], losses)]
        first = statistics.fmean(t for _, t in sorted(zip(losses, true, strict=True), reverse=True)[:FIRST])
        seconds = statistics.fmean(line["seconds"] for line in of)
        lines.append(f"| {recipe} | {seed} | {len(of)} | {' | '.join(found)} | {first:.2f} | {seconds:,.0f} |")
    return lines


def ranked(values: list[float], true: list[float]) -> str:
    """Kendall's tau with its interval."""
    low, high = kendall_interval(values, true)
    return f"{kendall_tau(values, true):.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
