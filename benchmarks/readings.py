"""Measures how well short trainings rank networks: by which reading, after how many epochs, and with which recipe.

    python benchmarks/readings.py [--space fashion-quick] [--budget 1MFLOPs] [--networks 40] [--epochs 3]
        [--recipes own] [--results FILE]

Random networks of the space within the budget are trained with two seeds for each of `RECIPES`. After every epoch each network
is read in three ways: with the running BatchNorm statistics of the training (`running`), with statistics that
`dcdnas.training.statistics` re-estimates (`fresh`), and with averaged weights and re-estimated statistics (`averaged`). The state
of the training is then restored, so that all readings are of the same training. Each network is also trained once, with the
space's own recipe and a third seed, for five times as many epochs.

The output gives Kendall's tau-b, with 95 % bootstrap intervals over networks, between readings after an epoch and the accuracy at
the end of the same training, at the end of the other seed's training, and at the end of the longer training; the last one also
over pairs of networks of similar cost. It also gives the standard deviation of a network's accuracy between seeds. Each training
is stored in the file `--results`, and a later call resumes.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dynconv_card import BAND, Numbers, banded
from result_lines import rows_of

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.core.task import TrainingTask
from dcdnas.cost import notations, price
from dcdnas.data import Split
from dcdnas.networks import build_network
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import draws_within
from dcdnas.tasks.classification import images_of, trained_as
from dcdnas.training.ema import Average, state_of
from dcdnas.training.loop import Training, evaluate, seeded
from dcdnas.training.statistics import put_back, reestimate

RECIPES: dict[str, dict[str, Any]] = {"own": {}, "rate 0.1": {"lr": 0.1}, "batch 256": {"batch_size": 256, "lr": 0.8}}
"""Name -> what differs from the space's own recipe."""

BATCHES, LONGER, DECAY = 10, 5, 0.99
SEEDS, LONG_SEED = (0, 1), 2
KINDS = ("running", "fresh", "averaged")
KEY = ("recipe", "network", "epochs", "seed")
Reading = dict[str, dict[str, list[float]]]
"""Way of reading -> ``accuracy`` and ``loss`` -> values after each epoch."""


def main() -> None:
    """Runs the missing trainings and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="fashion-quick")
    parser.add_argument("--budget", default="1MFLOPs")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=[*RECIPES], choices=[*RECIPES])
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    space = load_space(chosen.space)
    task = replace(space.proxy, epochs=chosen.epochs, deployed_side=max(space.resolutions))
    draws = draws_within(space, parse_budgets([chosen.budget], notations()), random.Random(0))
    networks = [drawn.architecture for drawn in islice(draws, chosen.networks)]
    done = {tuple(line[name] for name in KEY): line["readings"] for line in rows_of(chosen.results)}
    for network, recipe, epochs, seed in wanted(networks, chosen.recipes, chosen.epochs):
        key = (recipe, network.digest, epochs, seed)
        if key not in done:
            begun = time.process_time()
            done[key] = read(network, replace(task, epochs=epochs, seed=seed, **RECIPES[recipe]))
            line = dict(zip(KEY, key, strict=True), readings=done[key], seconds=round(time.process_time() - begun, 1))
            with chosen.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    print(f"{chosen.space} within {chosen.budget}, {len(networks)} networks, {len(SEEDS)} seeds, torch {torch.__version__}\n")
    found = {
        recipe: [[done[recipe, network.digest, chosen.epochs, seed] for seed in SEEDS] for network in networks]
        for recipe in chosen.recipes
    }
    longer = [done["own", network.digest, LONGER * chosen.epochs, LONG_SEED] for network in networks]
    show_ends(found)
    show_longer(found, longer, np.array([price(network)["flops"] for network in networks], float))


def wanted(networks: Sequence[Architecture], recipes: Sequence[str], epochs: int) -> Iterator[tuple[Architecture, str, int, int]]:
    """Yields each training: its network, its recipe, its number of epochs and its seed."""
    yield from ((network, "own", LONGER * epochs, LONG_SEED) for network in networks)
    for recipe in recipes:
        yield from ((network, recipe, epochs, seed) for network in networks for seed in SEEDS)


def read(architecture: Architecture, task: TrainingTask) -> Reading:
    """Runs one training; returns its readings after each epoch."""
    images = images_of(task)
    found: Reading = {kind: {"accuracy": [], "loss": []} for kind in KINDS}
    with seeded(task.seed) as generator:
        network = build_network(trained_as(architecture, images.train, task))
        training = Training(network, images, replace(task, norm_batches=0), generator)
        average = Average(network, DECAY)
        while not training.done:
            for _ in training.steps():
                average.add(network, training.step - 1)
            add(found["running"], training.read().values)
            own = state_of(network)
            add(found["fresh"], with_fresh_statistics(network, images, task))
            put_back(network, average.state)
            add(found["averaged"], with_fresh_statistics(network, images, task))
            put_back(network, own)
    return found


def with_fresh_statistics(network: torch.nn.Module, images: Split, task: TrainingTask) -> dict[str, float]:
    """Evaluates the weights that the network holds, with re-estimated BatchNorm statistics."""
    reestimate(network, images.train, BATCHES, task.batch_size, torch.device("cpu"), nullcontext)
    return evaluate(network, images.validation)


def add(found: dict[str, list[float]], values: Mapping[str, float]) -> None:
    """Adds one reading."""
    for name, value in values.items():
        found[name].append(round(value, 6))


def numbers(readings: Sequence[Sequence[Reading]], kind: str, name: str) -> Numbers:
    """Returns readings (networks, seeds, epochs) of one kind, of which the higher ones are the better ones."""
    values = np.array([[reading[kind][name] for reading in of_seeds] for of_seeds in readings])
    return -values if name == "loss" else values


def show_ends(found: dict[str, list[list[Reading]]]) -> None:
    """Prints how well the readings of each recipe rank the networks, compared with the ends of the same short trainings."""
    print("| recipe | reading | epoch | tau to the end, same seed | to the other seed's end | sd between seeds, points |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for recipe, readings in found.items():
        for kind in KINDS:
            values = numbers(readings, kind, "accuracy")
            spread = 100 * np.abs(values[:, 0] - values[:, 1]).mean(axis=0) / 2**0.5
            for epoch in range(values.shape[2]):
                cells = [compared(values[:, :, epoch], values[:, seeds, -1]) for seeds in ([0, 1], [1, 0])]
                print(f"| {recipe} | {kind} | {epoch + 1} | {' | '.join(cells)} | {spread[epoch]:.1f} |")


def show_longer(found: dict[str, list[list[Reading]]], longer: Sequence[Reading], cost: Numbers) -> None:
    """Prints how well each reading ranks the networks, compared with the ends of their longer trainings."""
    ends = np.array([reading["fresh"]["accuracy"] for reading in longer])
    print(f"\nTau to the end of {ends.shape[1]} epochs:\n")
    print("| recipe | reading | epoch | by accuracy | by loss | similar cost, by accuracy | similar cost, by loss |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    both = np.repeat(ends[:, -1:], len(SEEDS), axis=1)
    for recipe, readings in found.items():
        for kind in KINDS:
            values = [numbers(readings, kind, name) for name in ("accuracy", "loss")]
            for epoch in range(values[0].shape[2]):
                cells = [compared(value[:, :, epoch], both, cost, band) for band in (np.inf, BAND) for value in values]
                print(f"| {recipe} | {kind} | {epoch + 1} | {' | '.join(cells)} |")
    means = [
        f"{recipe} {100 * numbers(readings, 'fresh', 'accuracy')[:, :, -1].mean():.1f}" for recipe, readings in found.items()
    ]
    print(f"\nMean accuracy at the ends, %: {', '.join(means)}; after the longer training {100 * ends[:, -1].mean():.1f}.")


def compared(values: Numbers, ends: Numbers, cost: Numbers | None = None, band: float = np.inf) -> str:
    """Formats tau between two arrays (networks, seeds), averaged over the seeds, with its interval; a band needs the costs."""

    def tau(rows: Sequence[int]) -> float:
        n = list(rows)
        prices = np.ones(len(n)) if cost is None else cost[n]
        return statistics.fmean(banded(values[n, s], ends[n, s], prices, band) for s in range(values.shape[1]))

    low, high = interval(tau, len(values))
    return f"{tau(range(len(values))):.2f} ({low:.2f} to {high:.2f})"


def interval(value: Callable[[Sequence[int]], float], count: int, draws: int = 1000) -> tuple[float, float]:
    """Returns a 95 % bootstrap interval over networks."""
    rng = random.Random(0)
    found = sorted(value(rng.choices(range(count), k=count)) for _ in range(draws))
    return found[round(0.025 * draws)], found[round(0.975 * draws) - 1]


if __name__ == "__main__":
    main()
