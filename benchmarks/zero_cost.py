"""Measures how well zero-cost scores of untrained networks rank the networks of a benchmark table, compared with their prices.

    dcdnas data fetch nas-bench-macro
    python benchmarks/zero_cost.py -d cifar10:DIR [--networks 100] [--results FILE] [--show]
    python benchmarks/zero_cost.py --benchmark dynconv-fmnist

The scores are computed with newly initialised weights on one batch of 64 training images; according to their papers, higher is
better:
- `grad-norm`: the sum of the gradients' norms over the parameters (Abdelfattah et al., ICLR 2021);
- `synflow`: the sum of |weight * gradient| with all weights made positive, on an image of ones, without normalisation layers
  (Tanaka et al., NeurIPS 2020);
- `nwot`: the log-determinant of the agreement of the images' ReLU codes (Mellor et al., ICML 2021);
- `swap`: the number of different activation patterns of the ReLUs, where a pattern is one unit's signs over all images (Peng et
  al., ICLR 2024).
If the table has short trainings, they are compared with `short training`, the loss after a training of one epoch.

The true accuracy is the mean of a network's trainings. If the table has two trainings, each serves as the true accuracy in turn,
beside the short training of the other seed, so that both do not share noise; the results are means of both turns. Networks are
drawn at random with equal probabilities. The output gives Kendall's tau over all pairs and over pairs whose multiply-adds differ
by at most a tenth (*similar cost*), the difference of the first tau to that of the multiply-adds, all with 95 % bootstrap
intervals over the networks; the regret of the best among the ten highest-ranked networks, in points of accuracy; and the
processor seconds. The seconds of an epoch are extrapolated from two steps after a warm-up step, for each of the first ten
networks. Results are stored in `zero_cost-BENCHMARK.jsonl` beside this file, one line per network, and a network whose scores are
there is not scored again.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from dynconv_card import BAND, DRAWS, Numbers, banded
from numpy.typing import NDArray
from result_lines import rows_of
from torch import Tensor, nn
from yardstick import BUDGETS

from dcdnas.core.architecture import Architecture
from dcdnas.data import Images, load
from dcdnas.networks import Network, build_network, identity
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import Priced, draws_within
from dcdnas.tables import Table, tables
from dcdnas.training.augment import normalised
from dcdnas.training.loop import seeded

IMAGES, TOP, SEED = 64, 10, 0
BATCH, STEPS, TIMED = 128, 2, 10
COSTS, SHORT = ("flops", "params"), "short training"

Score = Callable[[Network, Tensor, Tensor], float]


def grad_norm(network: Network, x: Tensor, labels: Tensor) -> float:
    """Sum of the parameters' gradient norms."""
    network.train()
    F.cross_entropy(network(x), labels).backward()
    return sum(float(p.grad.norm()) for p in network.parameters() if p.grad is not None)


def synflow(network: Network, x: Tensor, labels: Tensor) -> float:
    """Logarithm of the synaptic flow from an image of ones, with positive weights and without normalisation layers."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            network.set_submodule(name, nn.Identity())
        elif isinstance(module, nn.ReLU6):  # the values are far above 6
            network.set_submodule(name, nn.ReLU())
    network.double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.abs_()
    network(torch.ones_like(x[:1], dtype=torch.double)).sum().backward()
    flow = sum(float((p.detach() * p.grad).abs().sum()) for p in network.parameters() if p.grad is not None)
    return float(np.log(flow))


def nwot(network: Network, x: Tensor, labels: Tensor) -> float:
    """Log-determinant of the matrix that counts the units in whose sign two images agree."""
    agree = torch.zeros(len(x), len(x), dtype=torch.double)
    for code in codes(network, x):
        signs = code.double()
        agree += signs @ signs.T + (1 - signs) @ (1 - signs).T
    return float(torch.linalg.slogdet(agree)[1])


def swap(network: Network, x: Tensor, labels: Tensor) -> float:
    """Number of different sign patterns over the images, among all units of the network."""
    columns = np.concatenate([np.packbits(code.numpy(), axis=0).T for code in codes(network, x)])
    return float(len(np.unique(np.ascontiguousarray(columns).view(f"V{columns.shape[1]}"))))


def codes(network: Network, x: Tensor) -> list[Tensor]:
    """Signs (N, units) after each ReLU."""
    found: list[Tensor] = []
    network.train()

    def note(module: nn.Module, given: Any, y: Tensor) -> None:
        found.append((y > 0).flatten(1))

    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.ReLU | nn.ReLU6)]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return found


SCORES: dict[str, Score] = {"grad-norm": grad_norm, "synflow": synflow, "nwot": nwot, "swap": swap}


def main() -> None:
    """Scores the networks without results, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="nas-bench-macro", choices=list(BUDGETS))
    parser.add_argument("-d", "--data", help="images for the scores, e.g. cifar10:DIR; default: those of the space")
    parser.add_argument("--networks", type=int, help="number of networks; default: 100 of NAS-Bench-Macro, all of another table")
    parser.add_argument("--table", help="file of the benchmark table; default: the fetched or shipped one")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--show", action="store_true", help="score nothing, only print the results so far")
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = given.results or results_of(given.benchmark)
    if not given.show:
        score_missing(path, given)
    show(given.benchmark, rows_of(path))


def results_of(benchmark: str) -> Path:
    """The file with the scores of a table's networks."""
    return Path(__file__).with_name(f"zero_cost-{benchmark}.jsonl")


def score_missing(path: Path, given: argparse.Namespace) -> None:
    """Scores the networks that are not in the results, and appends each to the file."""
    table, space = tables[given.benchmark](given.table), load_space(given.benchmark)
    images = load(given.data or space.proxy.data)
    there = {row["network"] for row in rows_of(path)}
    count = given.networks or (100 if given.benchmark == "nas-bench-macro" else len(table))
    with path.open("a", encoding="utf-8") as file:
        for number, (name, found) in enumerate(networks_of(given.benchmark, count).items()):
            if name not in there:
                row = {"network": name, **{m: found.cost[m] for m in COSTS}, **truth(table, found.architecture)}
                row |= scored(found.architecture, images, timed=number < TIMED)
                file.write(json.dumps(row) + "\n")
                file.flush()


def networks_of(benchmark: str, count: int) -> dict[str, Priced]:
    """Draws different networks with equal probabilities; returns them by identity."""
    found: dict[str, Priced] = {}
    for drawn in draws_within(load_space(benchmark), (), random.Random(SEED), chances="networks"):
        found.setdefault(identity(drawn.architecture), drawn)
        if len(found) == count:
            break
    return found


def truth(table: Table, architecture: Architecture) -> dict[str, list[float]]:
    """The true accuracies, and beside each the negated loss of the other seed's short training if there is one."""
    readings = table.readings(architecture)
    if not table.scan:
        return {"true": [statistics.fmean(readings)]}
    losses = [-curve[-1]["loss"] for curve in table.scans(architecture)]
    return {"true": list(readings), SHORT: losses[::-1]}


def scored(architecture: Architecture, images: Images, timed: bool) -> dict[str, Any]:
    """Computes each score and its processor seconds, and with `timed` the seconds of a training epoch."""
    row: dict[str, Any] = {"seconds": {}}
    x, labels = batch(images, IMAGES)
    for name, score in SCORES.items():
        with seeded(SEED):
            network = build_network(architecture)
        begun = time.process_time()
        row[name] = score(network, x, labels)
        row["seconds"][name] = round(time.process_time() - begun, 4)
    if timed:
        row["seconds"][SHORT] = round(step_seconds(build_network(architecture), *batch(images, BATCH)) * len(images) / BATCH, 1)
    return row


def batch(images: Images, count: int) -> tuple[Tensor, Tensor]:
    """A fixed random batch of normalised images, and its labels."""
    chosen = torch.tensor(random.Random(SEED).sample(range(len(images)), count))
    return normalised(images.pixels[chosen], images.mean, images.std), images.labels[chosen]


def step_seconds(network: Network, x: Tensor, labels: Tensor) -> float:
    """Processor seconds of a training step, without loading and augmentation."""
    network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    begun = 0.0
    for step in range(1 + STEPS):
        if step == 1:
            begun = time.process_time()
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()
    return (time.process_time() - begun) / STEPS


def show(benchmark: str, rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table of how well each score ranks the networks."""
    true = 100 * np.array([row["true"] for row in rows])
    costs = np.array([row["flops"] for row in rows], float)
    mean = true.mean(1)
    print(f"{benchmark}, {len(rows)} networks of {mean.min():.2f} to {mean.max():.2f} %\n")
    print(f"| score | tau | to `flops` | tau, similar cost | regret of the top {TOP} | seconds |\n|{' --- |' * 6}")
    known = ranks(rows, "flops", true, costs)
    for name in (*COSTS, *SCORES, *([SHORT] if SHORT in rows[0] else [])):
        found = ranks(rows, name, true, costs)
        values = columns(rows, name, true)
        regret = statistics.fmean(
            best.max() - best[np.argsort(v, kind="stable")[-TOP:]].max() for v, best in zip(values.T, true.T, strict=True)
        )
        gain = "" if name == "flops" else cell(found[:, 0] - known[:, 0])
        took = [row["seconds"][name] for row in rows if name in row["seconds"]]
        seconds = f"{statistics.fmean(took):.3g}" if took else ""
        print(f"| `{name}` | {cell(found[:, 0])} | {gain} | {cell(found[:, 1])} | {regret:.2f} | {seconds} |")
    rng = np.random.default_rng(SEED)
    ten = [best.max() - rng.choice(best, TOP, replace=False).max() for best in true.T for _ in range(5 * DRAWS)]
    print(f"| ten at random | 0 | | 0 | {statistics.fmean(ten):.2f} | |")
    epochs = [row["seconds"][SHORT] for row in rows if SHORT in row["seconds"]]
    print(
        f"\nAn epoch takes {min(epochs):.3g} to {max(epochs):.3g} s, on average {statistics.fmean(epochs):.3g}, n {len(epochs)}."
    )


def columns(rows: Sequence[dict[str, Any]], name: str, true: Numbers) -> Numbers:
    """The values that rank (networks, truths); all columns are equal, except for short trainings."""
    values = np.array([row[name] for row in rows], float)
    return values if values.ndim == 2 else np.repeat(values[:, None], true.shape[1], 1)


def ranks(rows: Sequence[dict[str, Any]], name: str, true: Numbers, costs: Numbers) -> Numbers:
    """Kendall's tau over all pairs and over those of similar cost, (1 + resamplings, 2); the first row is of all networks."""
    values, rng = columns(rows, name, true), np.random.default_rng(SEED)

    def taus(chosen: NDArray[np.int64]) -> list[float]:
        both = [(values[chosen, i], true[chosen, i], costs[chosen]) for i in range(true.shape[1])]
        return [statistics.fmean(banded(*columns, band) for columns in both) for band in (np.inf, BAND)]

    return np.array([taus(np.arange(len(rows))), *(taus(rng.integers(len(rows), size=len(rows))) for _ in range(DRAWS))])


def cell(values: Numbers) -> str:
    """The first value, with the 95 % interval of the resampled others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    main()
