"""Measures how well readings after few epochs rank networks, with running and with re-estimated BatchNorm statistics.

    python benchmarks/readings.py [--space fashion-quick] [--budget 1MFLOPs] [--networks 40] [--epochs 3] [--lr 0.1]
        [--longer] [--results FILE]

Random networks of the space within the budget are trained with the space's own recipe, two seeds each. After every epoch each
network is evaluated twice: with the running statistics of the training, and with statistics that `dcdnas.training.statistics`
re-estimates. The running statistics are then restored, so that both readings are of the same training. The output gives Kendall's
tau-b between the accuracies after an epoch and at the end, of the same seed and of the other seed, with 95 % bootstrap intervals
over networks, and the standard deviation between seeds. `--longer` also trains each network once for five times as many epochs,
and prints tau between its re-estimated readings and the end of that training, over all networks and over pairs of networks of
similar cost. Each training is stored in the file `--results`, and a later call resumes.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from dynconv_card import BAND, banded
from result_lines import rows_of

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.core.rank_correlation import kendall_tau
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult
from dcdnas.cost import notations, price
from dcdnas.data import Split
from dcdnas.networks import build_network
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import draws_within
from dcdnas.tasks.classification import images_of, trained_as
from dcdnas.training.loop import evaluate, seeded, train
from dcdnas.training.statistics import put_back, reestimate, statistics_of

BATCHES, LONGER = 10, 5
SEEDS = (0, 1)
KINDS = ("running", "fresh")
KEY = ("network", "epochs", "lr", "seed")
Reading = dict[str, list[float]]
"""Kind of statistics -> accuracies after each epoch."""


def read(architecture: Architecture, images: Split, task: TrainingTask) -> Reading:
    """Runs one training; returns its readings with both kinds of statistics after each epoch."""
    cpu, found = torch.device("cpu"), Reading({kind: [] for kind in KINDS})
    with seeded(task.seed):
        network = build_network(trained_as(architecture, images.train, task))

    def both(report: EpochResult) -> bool:
        own = statistics_of(network)
        reestimate(network, images.train, BATCHES, task.batch_size, cpu, nullcontext)
        found["running"].append(report.values["accuracy"])
        found["fresh"].append(evaluate(network, images.validation)["accuracy"])
        put_back(network, own)
        return True

    train(network, images, replace(task, norm_batches=0), both)
    return found


def interval(value: Callable[[Sequence[int]], float], count: int, draws: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval over networks."""
    rng = random.Random(0)
    found = sorted(value(rng.choices(range(count), k=count)) for _ in range(draws))
    return found[round(0.025 * draws)], found[round(0.975 * draws) - 1]


def told(readings: Sequence[Sequence[Reading]]) -> None:
    """Prints the table; `readings` has for each network those of each seed."""
    print("| reading | epoch | tau to the end, same seed | to the other seed's end | sd between seeds, points |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind in KINDS:
        for epoch in range(len(readings[0][0][kind])):

            def same(rows: Sequence[int], kind: str = kind, epoch: int = epoch) -> float:
                return statistics.fmean(
                    kendall_tau([readings[n][s][kind][epoch] for n in rows], [readings[n][s][kind][-1] for n in rows])
                    for s in SEEDS
                )

            def crossed(rows: Sequence[int], kind: str = kind, epoch: int = epoch) -> float:
                return statistics.fmean(
                    kendall_tau([readings[n][s][kind][epoch] for n in rows], [readings[n][1 - s][kind][-1] for n in rows])
                    for s in SEEDS
                )

            everyone = range(len(readings))
            cells = []
            for value in (same, crossed):
                low, high = interval(value, len(readings))
                cells.append(f"{value(everyone):.2f} ({low:.2f} to {high:.2f})")
            spread = statistics.fmean(abs(readings[n][0][kind][epoch] - readings[n][1][kind][epoch]) / 2**0.5 for n in everyone)
            print(f"| {kind} | {epoch + 1} | {cells[0]} | {cells[1]} | {100 * spread:.1f} |")


def told_longer(readings: Sequence[Sequence[Reading]], longer: Sequence[Reading], networks: Sequence[Architecture]) -> None:
    """Prints how each re-estimated reading ranks the networks, compared with the end of their longer trainings."""
    ends = np.array([reading["fresh"][-1] for reading in longer])
    cost = np.array([price(network)["flops"] for network in networks])
    read = np.array([[reading["fresh"] for reading in of_seeds] for of_seeds in readings])
    epochs = len(longer[0]["fresh"])
    print(f"\n| epoch | tau to the end of {epochs} epochs | similar cost |\n| ---: | ---: | ---: |")
    for epoch in range(read.shape[2]):
        cells = []
        for band in (np.inf, BAND):

            def value(rows: Sequence[int], epoch: int = epoch, band: float = band) -> float:
                n = list(rows)
                return statistics.fmean(banded(read[n, s, epoch], ends[n], cost[n], band) for s in SEEDS)

            low, high = interval(value, len(readings))
            cells.append(f"{value(range(len(readings))):.2f} ({low:.2f} to {high:.2f})")
        print(f"| {epoch + 1} | {' | '.join(cells)} |")
    print(f"\nMean accuracy at the ends: {100 * read[:, :, -1].mean():.1f} and {100 * ends.mean():.1f} %.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="fashion-quick")
    parser.add_argument("--budget", default="1MFLOPs")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, help="peak learning rate; the space's own without it")
    parser.add_argument("--longer", action="store_true", help=f"also train each network once, {LONGER} times as long")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    space = load_space(chosen.space)
    task = replace(space.proxy, epochs=chosen.epochs, lr=chosen.lr or space.proxy.lr, deployed_side=max(space.resolutions))
    images = images_of(task)
    draws = draws_within(space, parse_budgets([chosen.budget], notations()), random.Random(0))
    networks = [drawn.architecture for drawn in islice(draws, chosen.networks)]
    done = {tuple(line[name] for name in KEY): line["accuracy"] for line in rows_of(chosen.results)}
    wanted = [(chosen.epochs, seed) for seed in SEEDS] + [(LONGER * chosen.epochs, SEEDS[0])] * chosen.longer
    with chosen.results.open("a", encoding="utf-8") as file:
        for network in networks:
            for epochs, seed in wanted:
                key = (network.digest, epochs, task.lr, seed)
                if key not in done:
                    done[key] = read(network, images, replace(task, epochs=epochs, seed=seed))
                    file.write(json.dumps(dict(zip(KEY, key, strict=True), accuracy=done[key])) + "\n")
                    file.flush()
    print(
        f"{chosen.space} within {chosen.budget}, {len(networks)} networks, {len(SEEDS)} seeds, {chosen.epochs} epochs; ",
        end="",
    )
    print(f"peak rate {task.lr:g}; torch {torch.__version__}\n")
    readings = [[done[n.digest, chosen.epochs, task.lr, s] for s in SEEDS] for n in networks]
    told(readings)
    if chosen.longer:
        told_longer(readings, [done[n.digest, LONGER * chosen.epochs, task.lr, SEEDS[0]] for n in networks], networks)


if __name__ == "__main__":
    main()
