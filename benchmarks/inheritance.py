"""Measures how well a few epochs rank networks that are initialised from a trained static network, and from fresh weights.

    python benchmarks/inheritance.py [--networks 60] [--epochs 1 2 3] [--workers 2] [--hours 3] [--results FILE] [--show]

The networks are those of the table `dynconv-fmnist` that have short trainings. For each width and expansion, the static network
is trained for the 8 epochs of the space's recipe. Each network inherits the weights of the static network of its sizes
(`dcdnas.training.inheritance`) and is trained for a few epochs on a complete schedule of the same recipe. It is also trained
equally long from fresh weights. The seed does not occur in the table. The output gives Kendall's tau between each reading and the
mean of the table's two trainings of 8 epochs, over all networks and among those of similar cost, with 95 % bootstrap intervals
over networks; the regret of the best among the ten highest-ranked networks, in points; and the epochs per network, including its
share of the static networks' epochs. Each training is stored as a line of `inheritance.jsonl` beside this file, and a later call
resumes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch
from dynconv_fmnist import LONG, SPACE, key, networks_of
from result_lines import rows_of
from safetensors.torch import load_file, save_file

import dcdnas.tables
from dcdnas.cost import price
from dcdnas.data import Split, load, load_test
from dcdnas.kernels import in_use
from dcdnas.networks import Network, build_network
from dcdnas.space.library import load_space
from dcdnas.space.search_space import Decisions
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.inheritance import inherit
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
WEIGHTS = Path(tempfile.gettempdir()) / "dcdnas-benchmark-parents"
SEED, TOP, LIKE = 2, 10, 1.1
SIZES = ("width", "expansion")


def parent_of(decisions: Decisions) -> dict[str, Any]:
    """Decisions of the static network of the same width and expansion."""
    kept = {name: value for name, value in decisions.items() if name in SIZES}
    space = load_space(SPACE)
    return dict(space.decide(lambda name, options: kept.get(name, "static" if "static" in options else options[0])))


def file_of(decisions: Mapping[str, Any]) -> Path:
    """The file with the weights of the static network of these sizes."""
    return WEIGHTS / ("-".join(str(decisions[name]) for name in SIZES) + ".safetensors")


def built(decisions: Mapping[str, Any]) -> Network:
    """A network initialised with `SEED`."""
    with seeded(SEED):
        return build_network(load_space(SPACE).architecture(decisions))


def trained(job: tuple[str, Decisions, int]) -> dict[str, Any]:
    """Runs one training; returns its line of the results."""
    kind, decisions, epochs = job
    torch.set_num_threads(1)
    keep_freed_memory()
    task = replace(load_space(SPACE).proxy, epochs=epochs, seed=SEED)
    images, network = load(task.data), built(decisions)
    if kind == "inherited":
        parent = built(parent_of(decisions))
        parent.load_state_dict(load_file(file_of(decisions)))
        inherit(network, parent)
    begun = time.process_time()
    score = train(network, Split(images, load_test(images)), task)
    if kind == "parent":
        WEIGHTS.mkdir(exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, file_of(decisions))
    return {
        "kind": kind, "decisions": decisions, "epochs": epochs, "seconds": round(time.process_time() - begun, 2),
        "accuracy": score.values["accuracy"], "loss": round(score.values["loss"], 6), "kernels": in_use(),
        "torch": torch.__version__, "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }  # fmt: skip


def train_missing(given: argparse.Namespace, networks: Sequence[Decisions]) -> None:
    """Trains the static networks whose weights are missing, then the missing trainings; appends each result to the file."""
    end = time.monotonic() + 3600 * given.hours
    there = {(row["kind"], key(row["decisions"]), row["epochs"]) for row in rows_of(given.results)}
    parents = {key(parent_of(d)): parent_of(d) for d in networks}.values()
    first = [("parent", d, LONG) for d in parents if not file_of(d).exists()]
    rest = [(kind, d, epochs) for epochs in given.epochs for d in networks for kind in ("inherited", "fresh")]
    with ProcessPoolExecutor(given.workers, multiprocessing.get_context("spawn")) as pool:
        for jobs in (first, [job for job in rest if (job[0], key(job[1]), job[2]) not in there]):
            waiting = [pool.submit(trained, job) for job in jobs]
            for future in as_completed(waiting):
                if future.cancelled():
                    continue
                with given.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(future.result()) + "\n")
                if time.monotonic() > end:
                    for other in waiting:
                        other.cancel()  # those that are running end, and are written
            if time.monotonic() > end:
                return


def show(rows: Sequence[Mapping[str, Any]], networks: Sequence[Decisions]) -> None:
    """Prints a line for each kind, number of epochs and reading, then the ranking by multiply-adds, which needs no training."""
    table, space = dcdnas.tables.load(SPACE), load_space(SPACE)
    places = {key(d): n for n, d in enumerate(networks)}
    true = [statistics.fmean(table.readings(space.architecture(d))) for d in networks]
    flops = [price(space.architecture(d))["flops"] for d in networks]
    shared = LONG * len({key(parent_of(d)) for d in networks}) / len(networks)
    by: dict[tuple[str, int], dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        if key(row["decisions"]) in places and row["kind"] != "parent":
            by.setdefault((row["kind"], row["epochs"]), {})[places[key(row["decisions"])]] = row
    print("| weights | epochs | with share of static networks | reading | tau | tau, similar cost | regret of ten |")
    print("| --- | ---: | ---: | --- | --- | --- | ---: |")
    for (kind, epochs), found in sorted(by.items()):
        if len(found) == len(networks):
            for reading, sign in (("accuracy", 1), ("loss", -1)):
                values = [sign * found[n][reading] for n in range(len(networks))]
                both = epochs + shared if kind == "inherited" else epochs
                print(f"| {kind} | {epochs} | {both:.1f} | {reading} | {' | '.join(judged(values, true, flops))} |")
    print(f"| multiply-adds | 0 | 0 | | {' | '.join(judged(flops, true, flops))} |")


def judged(values: Sequence[float], true: Sequence[float], flops: Sequence[float]) -> list[str]:
    """Cells of a line: tau over all pairs and among similar costs, with intervals, and the regret."""
    best = max(accuracy for _, accuracy in sorted(zip(values, true, strict=True))[-TOP:])
    cells = [interval(values, true), interval(values, true, flops)]
    return [*cells, f"{100 * (max(true) - best):.2f}"]


def interval(values: Sequence[float], true: Sequence[float], flops: Sequence[float] = (), draws: int = 1000) -> str:
    """Tau with its 95 % bootstrap interval over networks; if costs are given, over pairs of similar cost only."""
    pairs = [
        (a, b)
        for a, b in combinations(range(len(true)), 2)
        if not flops or max(flops[a], flops[b]) < LIKE * min(flops[a], flops[b])
    ]

    def tau(weights: Sequence[int]) -> float:
        signs = [(weights[a] * weights[b], sign(values[a] - values[b]) * sign(true[a] - true[b])) for a, b in pairs]
        return sum(w * s for w, s in signs) / max(1, sum(w for w, _ in signs))

    rng, count = random.Random(0), len(true)
    drawn = [Counter(rng.choices(range(count), k=count)) for _ in range(draws)]
    low, *_, high = quantiles((tau([c[n] for n in range(count)]) for c in drawn), n=40)
    return f"{tau([1] * count):.2f} [{low:.2f}, {high:.2f}]"


def sign(value: float) -> int:
    """Sign of a number: -1, 0 or 1."""
    return (value > 0) - (value < 0)


def main() -> None:
    """Runs the missing trainings, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--epochs", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--show", action="store_true", help="train nothing, only print the results so far")
    given = parser.parse_args()
    networks = networks_of(load_space(SPACE))[: given.networks]
    if not given.show:
        train_missing(given, networks)
    show(rows_of(given.results), networks)


if __name__ == "__main__":
    main()
