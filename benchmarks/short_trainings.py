"""Measures how well short trainings rank networks of `equal_cost.py`, whose accuracies after 15 epochs are known.

    python benchmarks/short_trainings.py -d cifar10:DIR [--as 16000x4 4000x16] [--rows static dcd] [--seeds 1]
    python benchmarks/short_trainings.py -d cifar10:DIR --rows proposals --as 16000x15 4000x16

A search of `equal_cost.py` trusts short trainings. Networks are trained by several short recipes, written as training images x
epochs: with fewer epochs, or with fewer images for as many epochs as the table's own trainings have. The trainings are those of a
search, on a part of its 16,000 training images, and are read on its 4,000 validation images.

There are two groups of networks. The rows of the table, which are all equally deep, are compared with their mean test accuracies.
The proposals are the networks that the random search of seed 0 trained, whose run has to be in the folder; they differ in depth,
kernel size and expansion too. They are compared with their own validation accuracies as 16000x15. Their readings as 16000x4 are
those of the search.

Results are lines of `short_trainings.jsonl`; a training whose line is there is not repeated. The printed table has for each group
and recipe Kendall's tau between its readings and those accuracies, with a 95 % bootstrap interval over the networks; and the mean
of those accuracies over the three networks that the recipe ranks first by loss.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from equal_cost import PROXY_EPOCHS, RECIPE, UNIFORM, uniform
from equal_cost import RESULTS as LONG
from result_lines import rows_of
from row_trainings import options, train_missing

from dcdnas import load_run
from dcdnas.core.rank_correlation import kendall_interval, kendall_tau
from dcdnas.core.trial import Trial
from dcdnas.data import Split, load, split
from dcdnas.networks import build_network
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
SHORT = ("16000x4", "4000x16", "8000x8", "16000x8")
OF_THE_SEARCH, REFERENCE = f"16000x{PROXY_EPOCHS}", "16000x15"
ROWS = [name for name in UNIFORM if name != "static-twice"]
PROPOSALS = "proposals"
FIRST = 3


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = options(__doc__, [*ROWS, PROPOSALS], RESULTS)
    parser.set_defaults(rows=ROWS)
    parser.add_argument("--as", dest="recipes", nargs="+", default=list(SHORT), metavar="IMAGESxEPOCHS")
    given = parser.parse_args()
    train_missing(given, keys(given), lambda key, data: trained(key, data, given.folder))
    print("\n".join(table(rows_of(given.results), rows_of(LONG))))


def keys(given: Namespace) -> Iterator[dict[str, Any]]:
    """What identifies each training: the rows seed by seed and recipe by recipe, and the proposals one by one."""
    rows = [row for row in given.rows if row != PROPOSALS]
    for seed, recipe, row in product(range(given.seeds), given.recipes, rows):
        yield {"row": row, "recipe": recipe, "seed": seed}
    if PROPOSALS in given.rows:
        for name, recipe in product(proposals(given.folder), given.recipes):
            yield {"row": name, "recipe": recipe, "seed": 0}


@cache
def proposals(folder: Path) -> dict[str, Trial]:
    """The trials of the random search of seed 0 that were trained; those that every search begins with come last."""
    trials = [trial for trial in load_run(folder / "runs" / "random-0").trials if trial.score is not None]
    return {f"{PROPOSALS}/{trial.number}": trial for trial in sorted(trials, key=lambda trial: trial.origin != "random")}


def trained(key: dict[str, Any], data: str, folder: Path) -> dict[str, Any]:
    """Trains one network; its accuracy and loss on the validation images, and the processor time."""
    count, epochs = map(int, key["recipe"].split("x"))
    trial = proposals(folder)[key["row"]] if key["row"].startswith(PROPOSALS) else None
    architecture = trial.architecture if trial else uniform(key["row"])
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    line: dict[str, Any] = {"images": count, "torch": torch.__version__, "machine": machine}
    if trial:
        line |= {"depth": architecture.settings["depth"], "digest": architecture.digest}
    if trial and trial.score and key["recipe"] == OF_THE_SEARCH:
        return dict(trial.score.values) | {"seconds": round(trial.score.seconds, 1)} | line
    parts = split(load(data))
    few = split(parts.train, 1 - count / len(parts.train), seed=1).train if count < len(parts.train) else parts.train
    with seeded(key["seed"]):
        network = build_network(architecture)
    begun = time.process_time()
    score = train(network, Split(few, parts.validation), replace(RECIPE, epochs=epochs, seed=key["seed"]))
    return dict(score.values) | {"seconds": round(time.process_time() - begun, 1)} | line


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
