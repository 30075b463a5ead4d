"""Compares what each sampler finds on real images with the best static network, on test images that no search used.

    python benchmarks/search.py [--budget 1MFLOPs] [-n 24] [--searches 3] [--seeds 5] [--samplers random tpe model] [--show]

For each sampler and search seed, a complete run of `dcdnas search` is made. Its result is the network with the best confirmed
mean. This mean is biased upwards, because it is the best of several. Therefore each result and the static reference of the runs
(the most expensive uniform all-static network within the budget) are trained again, all on the same new seeds, and evaluated on
the test images, which are used here for the first time. The output gives the accuracy of each result, whichever wins, then the
mean difference to static and to random search, paired by search and seed, with 95 % bootstrap intervals over both.

Results are stored in `search.jsonl` beside this file, one line per search, and a search whose result is there is not repeated.
The runs themselves are in the folder of runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product, repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from result_lines import rows_of

import dcdnas
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Trial
from dcdnas.data import load_test
from dcdnas.engine.config import SearchConfig
from dcdnas.networks import build_network, for_proxy
from dcdnas.results import Run
from dcdnas.tasks.classification import images_of
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import evaluate, train

SAMPLERS = ("random", "tpe", "model")
AGAINST = ("static", "random")
Row = dict[str, Any]


def main() -> None:
    """Runs the missing searches, and prints all results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="1MFLOPs")
    parser.add_argument("-n", type=int, default=24)
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS))
    parser.add_argument("--executor", default="local")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--show", action="store_true", help="run no search, only print the results so far")
    given = parser.parse_args()
    rows = rows_of(given.results)
    rows = [row for row in rows if (row["budget"], row["trials"], len(row["accuracies"])) == (given.budget, given.n, given.seeds)]
    known = {(row["sampler"], row["search"]) for row in rows}
    for search, sampler in product(range(given.searches), given.samplers):
        if not given.show and (sampler, search) not in known:
            new = searched(sampler, search, given, rows)
            with given.results.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in new)
            rows += new
    show(rows)


def searched(sampler: str, search: int, given: argparse.Namespace, rows: list[Row]) -> list[Row]:
    """Runs one search; returns its line, and that of its static reference unless `rows` has one."""
    begun, name = time.process_time(), f"benchmark-{given.budget}-{given.n}-{sampler}-{search}"
    run = dcdnas.search(budget=given.budget, trials=given.n, seed=search, sampler=sampler, name=name, executor=given.executor)
    if run.static is None or run.best is None:
        raise SystemExit("There is nothing to compare: no static network is within the budget, or no training finished.")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    epochs = sum(trial.score.epochs for trial in run.trials if trial.score)
    common = {"budget": given.budget, "trials": given.n, "machine": machine}
    said = {"sampler": sampler, "search": search, "epochs": epochs, **common}
    new = [{**said, **tested(run, run.best, given.seeds)}]
    if not any(row["sampler"] == "static" for row in rows):
        new.append({"sampler": "static", "search": None, "epochs": 0, **common, **tested(run, run.static, given.seeds)})
    print(f"{sampler}, search {search}: {time.process_time() - begun:.0f} s of this process, {dict(run.counts)}", flush=True)
    return new


def tested(run: Run, trial: Trial, seeds: int) -> Row:
    """Trains a network as in the search, on seeds that no search used; returns its test accuracies in per cent and its costs."""
    task = SearchConfig.read(run.folder / "search.yaml").task
    tasks = [replace(task, seed=10_000 + seed) for seed in range(seeds)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        accuracies = [round(found, 2) for found in pool.map(test_accuracy, repeat(trial), tasks)]
    layers = [choice.operator for choice in trial.architecture.layers.values()]
    used = ", ".join(f"{layers.count(name)} {name}" for name in sorted(set(layers)))
    return {"accuracies": accuracies, "flops": trial.cost["flops"], "params": trial.cost["params"], "layers": used}


def test_accuracy(trial: Trial, task: TrainingTask) -> float:
    """Trains on one thread; returns the test accuracy in per cent."""
    torch.set_num_threads(1)
    keep_freed_memory()
    images = images_of(task)
    torch.manual_seed(task.seed)
    network = build_network(for_proxy(trial.architecture, images.train.shape, len(images.train.classes)))
    train(network, images, task)
    return 100 * evaluate(network, load_test(images.train))["accuracy"]


def show(rows: list[Row]) -> None:
    """Prints a line for each network, then the differences."""
    for row in sorted(rows, key=lambda row: (row["sampler"], row["search"] or 0)):
        mean, deviation = statistics.mean(row["accuracies"]), statistics.stdev(row["accuracies"])
        price = f"{row['flops'] / 1e3:5.0f} kFLOPs  {row['params'] / 1e3:5.1f} kparams"
        search = "" if row["search"] is None else row["search"]
        print(f"{row['sampler']:8} {search!s:2} {mean:5.2f} +- {deviation:4.2f} %  {price}  {row['layers']}")
    by = {(row["sampler"], row["search"]): row["accuracies"] for row in rows}
    for against in AGAINST:
        for sampler in dict.fromkeys(name for name, search in by if search is not None and name != against):
            gains = [
                [mine - its for mine, its in zip(accuracies, other, strict=True)]
                for (name, search), accuracies in by.items()
                if name == sampler and (other := by.get((against, None if against == "static" else search)))
            ]
            if gains:
                low, high = bootstrap(gains)
                mean = statistics.mean(map(statistics.mean, gains))
                print(f"{sampler} - {against}: {mean:+.2f} points [{low:+.2f}, {high:+.2f}], {len(gains)} searches")


def bootstrap(groups: list[list[float]], draws: int = 10_000) -> tuple[float, float]:
    """95 % bootstrap percentile interval of the mean: searches are resampled, then the seeds of each."""
    rng = random.Random(0)

    def drawn() -> float:
        return statistics.mean(statistics.mean(rng.choices(group, k=len(group))) for group in rng.choices(groups, k=len(groups)))

    means = sorted(drawn() for _ in range(draws))
    return means[int(0.025 * draws)], means[int(0.975 * draws)]


if __name__ == "__main__":
    main()
