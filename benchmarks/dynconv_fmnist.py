"""Trains every network of the space `dynconv-fmnist`, which makes a benchmark table of dynamic convolutions.

    python benchmarks/dynconv_fmnist.py [--workers 2] [--hours 3] [--results FILE] [--table FILE]

All 396 networks are trained on two seeds each, for 8 epochs with the space's own recipe on the 8,000 training images of
`fashion-mini`, and evaluated after each epoch on its 2,000 test images. All are also trained on a schedule of one epoch, and 60
of them, drawn at random, on a schedule of 3 epochs. The result of a training depends on the network, the seed and the number of
epochs, not on when it runs. Each training is written as a line of the results when it ends, and a later call resumes after the
last one. After `--hours` hours no further training is started. At the end the script prints how many trainings are complete.
`--table` trains nothing; it writes the networks with trainings on both seeds in the format that `dcdnas.tables` reads.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import multiprocessing
import os
import platform
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import torch
from result_lines import rows_of

from dcdnas.cost import price
from dcdnas.data import Split, load, load_test
from dcdnas.kernels import in_use
from dcdnas.networks import build_network
from dcdnas.space.library import load_space
from dcdnas.space.search_space import Decisions, SearchSpace
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import seeded, train

SPACE = "dynconv-fmnist"
SEEDS = (0, 1)
LONG, SHORT, SHORTEST, SHORT_NETWORKS = 8, 3, 1, 60
Training = tuple[Decisions, int, int]
"""Decisions, seed and epochs."""


def networks_of(space: SearchSpace) -> list[Decisions]:
    """Every outcome of the space, in a fixed random order."""
    found: dict[str, Decisions] = {}
    for options in product(*(d.options for d in space.decisions)):
        wanted = dict(zip((d.name for d in space.decisions), options, strict=True))
        outcome = space.decide(lambda name, _, wanted=wanted: wanted[name])  # type: ignore[misc]
        found.setdefault(key(outcome), outcome)
    return random.Random(0).sample(list(found.values()), len(found))


def key(decisions: Decisions) -> str:
    """A text that identifies a network."""
    return json.dumps(decisions, sort_keys=True)


def trainings(networks: list[Decisions]) -> Iterator[Training]:
    """Yields all trainings; those of the networks that are trained on every schedule come first."""
    for number, decisions in enumerate(networks):
        for seed in SEEDS:
            yield decisions, seed, LONG
            if number < SHORT_NETWORKS:
                yield decisions, seed, SHORT
    for seed in SEEDS:
        yield from ((decisions, seed, SHORTEST) for decisions in networks)


def trained(training: Training) -> dict[str, Any]:
    """Runs one training; returns its line of the results."""
    decisions, seed, epochs = training
    torch.set_num_threads(1)
    keep_freed_memory()
    space = load_space(SPACE)
    task = replace(space.proxy, epochs=epochs, seed=seed)
    images = load(task.data)
    with seeded(seed):
        network = build_network(space.architecture(decisions))
    begun = time.process_time()
    score = train(network, Split(images, load_test(images)), task)
    return {
        "decisions": decisions, "seed": seed, "epochs": epochs, "seconds": round(time.process_time() - begun, 2),
        "accuracy": [report.values["accuracy"] for report in score.curve],
        "loss": [round(report.values["loss"], 6) for report in score.curve],
        "kernels": in_use(), "torch": torch.__version__, "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip


def train_missing(path: Path, missing: list[Training], workers: int, hours: float) -> None:
    """Runs the missing trainings, and appends each result to the file as soon as it is known."""
    end, left = time.monotonic() + 3600 * hours, iter(missing)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool, path.open("a", encoding="utf-8") as file:
        running: set[Future[dict[str, Any]]] = {pool.submit(trained, training) for training in islice(left, workers)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                file.write(json.dumps(future.result()) + "\n")
                file.flush()
                if time.monotonic() < end:
                    running |= {pool.submit(trained, training) for training in islice(left, 1)}


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the trainings of all networks that were trained on both seeds, a row each with its price, in network order."""
    space = load_space(SPACE)
    by_network: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (-row["epochs"], row["seed"])):
        by_network.setdefault(key(row["decisions"]), []).append(row)
    content = io.StringIO()
    head = [d.name for d in space.decisions] + ["seed", "epochs", "flops", "params"]
    head += [f"{name} {epoch}" for name in ("accuracy", "loss") for epoch in range(1, LONG + 1)] + ["seconds"]
    file = csv.DictWriter(content, head, restval="", lineterminator="\n")
    file.writeheader()
    for found in map(by_network.get, map(key, networks_of(space))):
        if found and sum(row["epochs"] == LONG for row in found) == len(SEEDS):
            cost = price(space.architecture(found[0]["decisions"]))
            for row in found:
                curves = {f"{n} {e}": value for n in ("accuracy", "loss") for e, value in enumerate(row[n], start=1)}
                own = {name: row[name] for name in ("seed", "epochs", "seconds")}
                file.writerow({**row["decisions"], **own, "flops": cost["flops"], "params": cost["params"], **curves})
    path.write_bytes(gzip.compress(content.getvalue().encode(), mtime=0))  # equal trainings give equal bytes


def told(rows: list[dict[str, Any]], count: int) -> None:
    """Prints how many trainings are complete, and the variation between seeds."""
    print(f"{len(rows)} of {count} trainings, {sum(row['seconds'] for row in rows) / 3600:.2f} processor hours")
    ends: dict[str, list[float]] = {}
    for row in rows:
        if row["epochs"] == LONG:
            ends.setdefault(key(row["decisions"]), []).append(row["accuracy"][-1])
    both = [values for values in ends.values() if len(values) == len(SEEDS)]
    if len(both) > 1:
        means = [statistics.fmean(values) for values in both]
        within = statistics.fmean(map(statistics.variance, both)) ** 0.5
        print(f"{len(both)} networks with both seeds: {100 * min(means):.1f} to {100 * max(means):.1f} %")
        print(f"standard deviation of a training: {100 * within:.2f} points")
        print(f"standard deviation of the networks' means: {100 * statistics.stdev(means):.2f} points")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    if given.table:
        write_table(given.table, rows_of(given.results))
        return
    wanted = list(trainings(networks_of(load_space(SPACE))))
    there = {(key(row["decisions"]), row["seed"], row["epochs"]) for row in rows_of(given.results)}
    missing = [(decisions, seed, epochs) for decisions, seed, epochs in wanted if (key(decisions), seed, epochs) not in there]
    train_missing(given.results, missing, given.workers, given.hours)
    told(rows_of(given.results), len(wanted))


if __name__ == "__main__":
    main()
