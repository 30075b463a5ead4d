"""Measures how the learning rate of short trainings affects their accuracy, their noise, and how well they rank networks.

    python benchmarks/proxy_rates.py [--space fashion-quick] [--budget 600kFLOPs] [--networks 40] [--rates 0.1 0.4 0.8]

Random networks of the space within the budget are trained with the space's own recipe at each rate, two seeds each, and once for
five times as many epochs at each of the rates `--long`. For each rate the table has the mean accuracy, the standard deviation of
a network's accuracy between seeds, and Kendall's tau-b between the accuracies of short and of long trainings, with 95 %
bootstrap intervals over networks. For the long trainings it has the mean accuracy. A training that diverges has the accuracy of
chance. `--classifier-width` and `--epochs` change the recipe.

Results are lines of `proxy_rates.jsonl`; a training whose line is there is not repeated. Other processes may train other rates at
the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import torch
from readings import interval
from result_lines import rows_of

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.core.rank_correlation import kendall_tau
from dcdnas.core.task import TrainingTask
from dcdnas.cost import notations
from dcdnas.errors import Diverged
from dcdnas.networks import build_network
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import draws_within
from dcdnas.tasks.classification import images_of, trained_as
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
SEEDS, LONGER = (0, 1), 5

Key = tuple[str, int, float, int, int]
"""Digest of the network, epochs, rate, seed, width of a classifier up to which it has the same rate."""


def main() -> None:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="fashion-quick")
    parser.add_argument("--budget", default="600kFLOPs")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--rates", nargs="+", type=float, default=[0.1, 0.4, 0.8])
    parser.add_argument("--long", nargs="*", type=float, default=[0.1, 0.4])
    parser.add_argument("--epochs", type=int, help="of the short trainings; the space's own without it")
    parser.add_argument("--classifier-width", type=int, help="the space's own without it")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    space = load_space(given.space)
    task = replace(space.proxy, deployed_side=max(space.resolutions), epochs=given.epochs or space.proxy.epochs)
    if given.classifier_width is not None:
        task = replace(task, classifier_width=given.classifier_width)
    draws = draws_within(space, parse_budgets([given.budget], notations()), random.Random(0))
    networks = [drawn.architecture for drawn in islice(draws, given.networks)]
    train_missing(networks, task, given)
    print("\n".join(table([network.digest for network in networks], task, accuracies(given.results), given)))


def train_missing(networks: Sequence[Architecture], task: TrainingTask, given: argparse.Namespace) -> None:
    """Trains network by network, so that the rates can be compared at any time."""
    images, done = images_of(task), accuracies(given.results)
    short = [(task.epochs, rate, seed) for rate, seed in product(given.rates, SEEDS)]
    for network, (epochs, rate, seed) in product(networks, short + [(LONGER * task.epochs, rate, 0) for rate in given.long]):
        if (network.digest, epochs, rate, seed, task.classifier_width) in done:
            continue
        recipe = replace(task, epochs=epochs, lr=rate, seed=seed)
        with seeded(seed):
            module = build_network(trained_as(network, images.train, recipe))
        line: dict[str, Any] = {"network": network.digest, "epochs": epochs, "rate": rate, "seed": seed}
        line["classifier_width"] = task.classifier_width
        try:
            line["accuracy"] = round(train(module, images, recipe).values["accuracy"], 6)
        except Diverged:
            line["accuracy"] = 1 / len(images.train.classes)
        line |= {"torch": torch.__version__, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def accuracies(path: Path) -> dict[Key, float]:
    """The accuracies of the finished trainings in per cent."""
    names = ("network", "epochs", "rate", "seed", "classifier_width")
    return {tuple(line[name] for name in names): 100 * line["accuracy"] for line in rows_of(path)}


def table(networks: Sequence[str], task: TrainingTask, done: dict[Key, float], given: argparse.Namespace) -> list[str]:
    """The lines of the table, over the networks all of whose trainings are finished."""
    epochs, width = task.epochs, task.classifier_width
    long = {rate: (LONGER * epochs, rate, 0, width) for rate in given.long}
    wanted = [*((epochs, rate, seed, width) for rate, seed in product(given.rates, SEEDS)), *long.values()]
    whole = [network for network in networks if all((network, *key) in done for key in wanted)]
    to = "".join(f" tau to {LONGER * epochs} epochs at {rate:g} |" for rate in long)
    rows = [
        f"{given.space} within {given.budget}, {len(whole)} networks, {epochs} epochs, classifier width {width}, "
        f"torch {torch.__version__}",
        "",
        f"| rate | accuracy | sd between seeds |{to}",
        "| --- | ---: | ---: |" + " ---: |" * len(long),
    ]
    if not whole:
        return [*rows, "No network has finished all trainings."]
    for rate in given.rates:
        read = [[done[network, epochs, rate, seed, width] for network in whole] for seed in SEEDS]
        spread = statistics.fmean(abs(a - b) / 2**0.5 for a, b in zip(*read, strict=True))
        cells = [_tau(read, [done[network, *key] for network in whole]) for key in long.values()]
        rows.append(f"| {rate:g} | {statistics.fmean(map(statistics.fmean, read)):.1f} | {spread:.1f} |{''.join(cells)}")
    for rate, key in long.items():
        mean = statistics.fmean(done[network, *key] for network in whole)
        rows.append(f"| {rate:g}, {key[0]} epochs | {mean:.1f} | |" + " |" * len(long))
    return rows


def _tau(read: Sequence[Sequence[float]], long: Sequence[float]) -> str:
    """The mean over the seeds of tau to the long trainings, with its interval."""

    def value(rows: Sequence[int]) -> float:
        return statistics.fmean(kendall_tau([seed[n] for n in rows], [long[n] for n in rows]) for seed in read)

    low, high = interval(value, len(long))
    return f" {value(range(len(long))):.2f} [{low:.2f}, {high:.2f}] |"


if __name__ == "__main__":
    main()
