"""The default search against the best uniform static network within the budget, judged on test images that no search saw.

Each search seed is a whole run of its own. Its result is the network with the best confirmed mean; as the best of several, that
mean flatters it. So the result and the run's static reference (the dearest uniform all-static network within the budget) are
trained again, both on the same new seeds, and judged on the test part, which is opened here for the first time. Whichever wins
is printed.

    python benchmarks/search.py [--budget 1MFLOPs] [-n 24] [--searches 3] [--seeds 5] [--executor local]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time
from dataclasses import replace

import torch

import dcdnas
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Trial
from dcdnas.data import load_test
from dcdnas.engine.config import SearchConfig
from dcdnas.networks import build_network, for_proxy
from dcdnas.results import Run
from dcdnas.tasks.classification import images_of
from dcdnas.training.loop import evaluate, train


def main() -> None:
    """Runs the searches and prints two lines each, then the mean gain with its 95 % bootstrap interval."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", default="1MFLOPs")
    parser.add_argument("-n", type=int, default=24)
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--executor", default="local")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}")
    print(f"budget {given.budget}, {given.n} trainings a search, {given.searches} searches, {given.seeds} test seeds each\n")
    gains = [gain for search in range(given.searches) for gain in gains_of(search, given)]
    low, high = bootstrap(gains)
    print(f"\nsearched - static on test images: {statistics.mean(gains):+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}")
    print(f"(n = {len(gains)} pairs of trainings)")


def gains_of(search: int, given: argparse.Namespace) -> list[float]:
    """One run; prints both networks, returns the paired differences in points of test accuracy."""
    begun = time.perf_counter()
    name = f"benchmark-{given.budget}-{given.n}-{search}"
    run = dcdnas.search(budget=given.budget, trials=given.n, seed=search, name=name, executor=given.executor)
    if run.static is None or run.best is None:
        raise SystemExit("no static network within the budget, or nothing finished: nothing to compare")
    print(f"search {search}: {time.perf_counter() - begun:.0f} s, {dict(run.counts)}")
    found = tested(run, run.best, given.seeds)
    static = tested(run, run.static, given.seeds)
    print(f"  searched  {described(run.best, found)}")
    print(f"  static    {described(run.static, static)}", flush=True)
    return [a - b for a, b in zip(found, static, strict=True)]


def tested(run: Run, trial: Trial, seeds: int) -> list[float]:
    """Test accuracy, in per cent, of a network trained as in the search on seeds that the search never used."""
    task = SearchConfig.read(run.folder / "search.yaml").task
    return [test_accuracy(trial, replace(task, seed=10_000 + seed)) for seed in range(seeds)]


def test_accuracy(trial: Trial, task: TrainingTask) -> float:
    """One training, judged once."""
    images = images_of(task)
    torch.manual_seed(task.seed)
    network = build_network(for_proxy(trial.architecture, images.train.shape, len(images.train.classes)))
    train(network, images, task)
    return 100 * evaluate(network, load_test(images.train))["accuracy"]


def described(trial: Trial, accuracies: list[float]) -> str:
    """Accuracy, price and layers of one network."""
    layers = [choice.operator for choice in trial.architecture.layers.values()]
    used = ", ".join(f"{layers.count(name)} {name}" for name in sorted(set(layers)))
    price = f"{trial.cost['flops'] / 1e3:5.0f} kFLOPs  {trial.cost['params'] / 1e3:5.1f} kparams"
    return f"{statistics.mean(accuracies):5.2f} +- {statistics.stdev(accuracies):4.2f} %  {price}  {used}"


def bootstrap(values: list[float], draws: int = 10_000) -> tuple[float, float]:
    """95 % percentile interval of the mean."""
    rng = random.Random(0)
    means = sorted(statistics.mean(rng.choices(values, k=len(values))) for _ in range(draws))
    return means[int(0.025 * draws)], means[int(0.975 * draws)]


if __name__ == "__main__":
    main()
