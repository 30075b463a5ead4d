"""How well scores of untrained networks rank NAS-Bench-Macro, beside what is known for nothing: multiply-adds and parameters.

    dcdnas data fetch nas-bench-macro
    python benchmarks/zero_cost.py -d cifar10:DIR [--networks 150] [--bands 36-40 54-60] [--results FILE] [--show]

Scores of a network at its fresh weights, on one batch of 64 training images; higher is said to be better:
- `grad-norm`: the sum of the gradients' norms over the parameters (Abdelfattah et al., ICLR 2021);
- `synflow`: the sum of |weight * gradient| with all weights made positive, on an image of ones, norms left out (Tanaka et al.,
  NeurIPS 2020);
- `nwot`: the log-determinant of the agreement of the images' ReLU codes (Mellor et al., ICML 2021);
- `swap`: how many different patterns the images make in the ReLUs, each pattern one unit's signs over all images (Peng et al.,
  ICLR 2024).

Networks are drawn at random from the whole space and from bands of multiply-adds, where the budget of a search has left only
networks of like cost. Printed are Kendall's tau with the mean of the three trainings, with its 95 % bootstrap interval over the
networks; the regret of the best of the ten networks that a score ranks highest, in points of accuracy; and the processor time of
the score. Results go to `zero_cost.jsonl` beside this file, a line a network: what is there is not scored again.
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
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget
from dcdnas.core.rank_correlation import kendall_interval, kendall_tau
from dcdnas.data import load
from dcdnas.networks import Network, build_network, identity
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import Priced, draws_within
from dcdnas.tables import tables
from dcdnas.training.augment import normalised
from dcdnas.training.loop import seeded

RESULTS = Path(__file__).with_suffix(".jsonl")
IMAGES, TOP, SEED = 64, 10, 0
WHOLE, COSTS = "whole space", ("flops", "params")

Score = Callable[[Network, Tensor, Tensor], float]


def grad_norm(network: Network, x: Tensor, labels: Tensor) -> float:
    """The sum of the parameters' gradient norms."""
    network.train()
    F.cross_entropy(network(x), labels).backward()
    return sum(float(p.grad.norm()) for p in network.parameters() if p.grad is not None)


def synflow(network: Network, x: Tensor, labels: Tensor) -> float:
    """The logarithm of the flow from an image of ones to the scores, through positive weights and no norms."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            network.set_submodule(name, nn.Identity())
    network.double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.abs_()
    network(torch.ones_like(x[:1], dtype=torch.double)).sum().backward()
    flow = sum(float((p.detach() * p.grad).abs().sum()) for p in network.parameters() if p.grad is not None)
    return float(np.log(flow))


def nwot(network: Network, x: Tensor, labels: Tensor) -> float:
    """The log-determinant of how often two images agree in a unit's sign."""
    agree = torch.zeros(len(x), len(x), dtype=torch.double)
    for code in codes(network, x):
        signs = code.double()
        agree += signs @ signs.T + (1 - signs) @ (1 - signs).T
    return float(torch.linalg.slogdet(agree)[1])


def swap(network: Network, x: Tensor, labels: Tensor) -> float:
    """How many different columns of signs there are, over all units."""
    return float(sum(len(torch.unique(code.T, dim=0)) for code in codes(network, x)))


def codes(network: Network, x: Tensor) -> list[Tensor]:
    """The signs (N, units) behind each rectifier."""
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
    """Scores what is missing, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--data", help="images of 32x32 pixels in three channels and ten classes, like cifar10:DIR")
    parser.add_argument("--networks", type=int, default=150, help="in each group")
    parser.add_argument("--bands", nargs="*", default=["36-40", "54-60"], help="of multiply-adds, in millions")
    parser.add_argument("--table", help="file of the benchmark; the fetched one when left out")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--show", action="store_true", help="score nothing, print what there is")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.show:
        score_missing(given)
    rows = rows_of(given.results)
    for group in (WHOLE, *given.bands):
        show(group, [row for row in rows if row["group"] == group][: given.networks])


def score_missing(given: argparse.Namespace) -> None:
    """Scores the networks of each group that are not in the results, and writes each down."""
    table, images = tables["nas-bench-macro"](given.table), load(given.data)
    chosen = torch.tensor(random.Random(SEED).sample(range(len(images)), IMAGES))
    x, labels = normalised(images.pixels[chosen], images.mean, images.std), images.labels[chosen]
    there = {(row["group"], row["network"]) for row in rows_of(given.results)}
    with given.results.open("a", encoding="utf-8") as file:
        for group in (WHOLE, *given.bands):
            for name, found in networks_of(group, given.networks).items():
                if (group, name) not in there:
                    row: dict[str, Any] = {"group": group, "network": name, **{m: found.cost[m] for m in COSTS}}
                    row["accuracy"] = statistics.fmean(table.readings(found.architecture))
                    file.write(json.dumps(row | scored(found.architecture, x, labels)) + "\n")
                    file.flush()


def networks_of(group: str, count: int) -> dict[str, Priced]:
    """Different networks of a group by their identities, each with the same chance."""
    budgets = []
    if group != WHOLE:
        low, high = (float(side) * 1e6 for side in group.split("-"))
        budgets = [Budget("flops", high, low)]
    found: dict[str, Priced] = {}
    for drawn in draws_within(load_space("nas-bench-macro"), budgets, random.Random(SEED), chances="networks"):
        found.setdefault(identity(drawn.architecture), drawn)
        if len(found) == count:
            break
    return found


def scored(architecture: Architecture, x: Tensor, labels: Tensor) -> dict[str, Any]:
    """Each score, and the seconds of the processor that it took."""
    row: dict[str, Any] = {"seconds": {}}
    for name, score in SCORES.items():
        with seeded(SEED):
            network = build_network(architecture)
        begun = time.process_time()
        row[name] = score(network, x, labels)
        row["seconds"][name] = round(time.process_time() - begun, 3)
    return row


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The results."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def show(group: str, rows: Sequence[dict[str, Any]]) -> None:
    """A table: how each score ranks the networks of a group."""
    if len(rows) < TOP:
        return
    true = [row["accuracy"] for row in rows]
    print(f"\n{group}, {len(rows)} networks of {100 * min(true):.2f} to {100 * max(true):.2f} %\n")
    print(f"| score | tau with the accuracy | regret of the top {TOP} | seconds |\n| --- | --- | --- | --- |")
    for name in (*COSTS, *SCORES):
        values = [row[name] for row in rows]
        low, high = kendall_interval(values, true)
        regret = max(true) - max(accuracy for _, accuracy in sorted(zip(values, true, strict=True))[-TOP:])
        seconds = "" if name in COSTS else f"{statistics.fmean(row['seconds'][name] for row in rows):.2f}"
        print(f"| `{name}` | {kendall_tau(values, true):+.2f} [{low:+.2f}, {high:+.2f}] | {100 * regret:.2f} | {seconds} |")
    drawn = random.Random(SEED)
    chance = statistics.fmean(max(true) - max(drawn.sample(true, TOP)) for _ in range(10_000))
    print(f"| ten at random | 0 | {100 * chance:.2f} | |")


if __name__ == "__main__":
    main()
