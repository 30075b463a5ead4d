"""Measures how the learning rate of short trainings affects their accuracy, their noise, and how well they rank networks.

    python benchmarks/proxy_rates.py [--space fashion-quick] [--budget 600kFLOPs] [--networks 40] [--rates 0.1 0.4 0.8]

Random networks of the space within the budget are trained with the space's own recipe at each rate, two seeds each, and once for
five times as many epochs at each of the rates `--long`. For each rate the table has the mean accuracy, the standard deviation of
a network's accuracy between seeds, and Kendall's tau-b between the accuracies of short and of long trainings, with 95 %
bootstrap intervals over networks. For the long trainings it has the mean accuracy.

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

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.core.rank_correlation import kendall_tau
from dcdnas.core.task import TrainingTask
from dcdnas.cost import notations
from dcdnas.networks import build_network
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import draws_within
from dcdnas.tasks.classification import images_of, trained_as
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
SEEDS, LONGER = (0, 1), 5

Key = tuple[str, int, float, int]
"""Digest of the network, epochs, rate, seed."""


def main() -> None:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="fashion-quick")
    parser.add_argument("--budget", default="600kFLOPs")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--rates", nargs="+", type=float, default=[0.1, 0.4, 0.8])
    parser.add_argument("--long", nargs="*", type=float, default=[0.1, 0.4])
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    space = load_space(given.space)
    task = replace(space.proxy, deployed_side=max(space.resolutions))
    draws = draws_within(space, parse_budgets([given.budget], notations()), random.Random(0))
    networks = [drawn.architecture for drawn in islice(draws, given.networks)]
    train_missing(networks, task, given)
    print("\n".join(table([network.digest for network in networks], task.epochs, accuracies(given.results), given)))


def train_missing(networks: Sequence[Architecture], task: TrainingTask, given: argparse.Namespace) -> None:
    """Trains network by network, so that the rates can be compared at any time."""
    images, done = images_of(task), accuracies(given.results)
    short = [(task.epochs, rate, seed) for rate, seed in product(given.rates, SEEDS)]
    for network, (epochs, rate, seed) in product(networks, short + [(LONGER * task.epochs, rate, 0) for rate in given.long]):
        if (network.digest, epochs, rate, seed) in done:
            continue
        recipe = replace(task, epochs=epochs, lr=rate, seed=seed)
        with seeded(seed):
            module = build_network(trained_as(network, images.train, recipe))
        line: dict[str, Any] = {"network": network.digest, "epochs": epochs, "rate": rate, "seed": seed}
        line |= {name: round(value, 6) for name, value in train(module, images, recipe).values.items()}
        line |= {"torch": torch.__version__, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def accuracies(path: Path) -> dict[Key, float]:
    """The accuracies of the finished trainings in per cent; a last line that is being written is left out."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return {(line["network"], line["epochs"], line["rate"], line["seed"]): 100 * line["accuracy"] for line in lines}


def table(networks: Sequence[str], epochs: int, done: dict[Key, float], given: argparse.Namespace) -> list[str]:
    """The lines of the table, over the networks all of whose trainings are finished."""
    long = {rate: (LONGER * epochs, rate, 0) for rate in given.long}
    wanted = [*((epochs, rate, seed) for rate, seed in product(given.rates, SEEDS)), *long.values()]
    whole = [network for network in networks if all((network, *key) in done for key in wanted)]
    to = "".join(f" tau to {epochs} epochs at {rate:g} |" for epochs, rate, _ in long.values())
    rows = [
        f"{given.space} within {given.budget}, {len(whole)} networks, {epochs} epochs, torch {torch.__version__}",
        "",
        f"| rate | accuracy | sd between seeds |{to}",
        "| --- | ---: | ---: |" + " ---: |" * len(long),
    ]
    if len(whole) < 2:
        return [*rows, "Fewer than two networks have finished all trainings."]
    for rate in given.rates:
        read = [[done[network, epochs, rate, seed] for network in whole] for seed in SEEDS]
        spread = statistics.fmean(abs(a - b) / 2**0.5 for a, b in zip(*read, strict=True))
        cells = [_tau(read, [done[network, *key] for network in whole]) for key in long.values()]
        rows.append(f"| {rate:g} | {statistics.fmean(map(statistics.fmean, read)):.2f} | {spread:.2f} |{''.join(cells)}")
    for key in long.values():
        mean = statistics.fmean(done[network, *key] for network in whole)
        rows.append(f"| {key[1]:g}, {key[0]} epochs | {mean:.2f} | |" + " |" * len(long))
    return rows


def _tau(read: Sequence[Sequence[float]], long: Sequence[float]) -> str:
    """The mean over the seeds of tau to the long trainings, with its interval."""

    def value(rows: Sequence[int]) -> float:
        return statistics.fmean(kendall_tau([seed[n] for n in rows], [long[n] for n in rows]) for seed in read)

    low, high = interval(value, len(long))
    return f" {value(range(len(long))):.2f} [{low:.2f}, {high:.2f}] |"


if __name__ == "__main__":
    main()
