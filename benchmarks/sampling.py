"""Measures how fast networks are drawn within a budget that 1 % of a space meets: with the space's tree, and by plain rejection.

    python benchmarks/sampling.py [SPACE ...] [--draws 100] [--rounds 5]

Both methods draw with equal probabilities and price every network exactly, in the same run. The output gives the medians of the
rounds with the minimum and the maximum, the seconds for building the tree (once), and how many of its draws are accepted. Then it
gives the same for two budgets at once, FLOPs and parameters, of which 1 % of the space meets each: the tree is built for one of
them, and draws that exceed the other are rejected.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from dcdnas.core.budget import Budget, within
from dcdnas.space.library import load_space, shipped
from dcdnas.space.pricing.cost import draw, draws_within, largest, priced, share_within
from dcdnas.space.pricing.draws import Draws
from dcdnas.space.pricing.tree import tree_of
from dcdnas.space.search_space import SearchSpace

SHARE = 0.01


def main() -> None:
    """Measures each space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    able = sorted(name for name in shipped() if load_space(name).fit is None)
    parser.add_argument("spaces", nargs="*", default=able, help="spaces without a fitted width")
    parser.add_argument("--draws", type=int, default=100, help="draws per round with the tree; rejection makes a tenth of them")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    for name in given.spaces:
        space = load_space(name)
        measure(space, given.draws, given.rounds)
        measure_both(space, given.draws, given.rounds)


def measure(space: SearchSpace, draws: int, rounds: int) -> None:
    """Prints the results of one space."""
    since, worked = time.perf_counter(), time.process_time()
    budget = rare_budget(space)
    print(f"{space.name}: {space.size:.2g} outcomes, {budget}; tree made in {time.perf_counter() - since:.2f} s", end=" ")
    print(f"({time.process_time() - worked:.2f} s of processor time)")
    share = share_within(space, [budget], draws=500)
    print(f"  {100 * share.value:.3f} % of the space is within; {share.inside} of {share.draws} draws of the tree are accepted")
    by_tree = draws_within(space, [budget], random.Random(0))
    rng = random.Random(0)
    ways = {"tree": (lambda: next(by_tree), draws), "rejection": (lambda: rejected(space, budget, rng), max(1, draws // 10))}
    for way, (make, number) in ways.items():
        rates = [rate(make, number) for _ in range(rounds)]
        middle, low, high = statistics.median(rates), min(rates), max(rates)
        print(f"  {way:10} {middle:9.1f} networks a second ({low:.1f} to {high:.1f}, {rounds} rounds of {number})")


def measure_both(space: SearchSpace, draws: int, rounds: int) -> None:
    """Prints the rate with two budgets at once; draws that the second budget rejects lower it."""
    budgets = [rare_budget(space, metric) for metric in ("flops", "params")]
    share = share_within(space, budgets, draws=500)
    print(f"  both {' and '.join(map(str, budgets))}: {100 * share.value:.3f} % of the space is within;", end=" ")
    print(f"{share.inside} of {share.draws} draws of the tree are accepted")
    drawn = draws_within(space, budgets, random.Random(0))
    if next(drawn, None) is None:
        print("  no network within both budgets was found")
        return
    rates = [rate(lambda: next(drawn), max(1, draws // 10)) for _ in range(rounds)]
    print(f"  tree, both {statistics.median(rates):8.1f} networks a second ({min(rates):.1f} to {max(rates):.1f})")


def rare_budget(space: SearchSpace, metric: str = "flops") -> Budget:
    """A budget that about 1 % of the space meets, to within a thousandth of the largest network's cost."""
    tree = tree_of(space, metric)
    if tree is None:
        raise SystemExit(f"{space.name} has no tree, because the costs of its decisions do not separate. Leave it out.")
    whole = Draws(tree, Budget(metric, largest(space, metric).cost[metric]))
    below = np.cumsum(whole.table.chances) / whole.all
    rough = (int(np.searchsorted(below, SHARE)) + 1 + whole.table.roundings) * whole.step
    fine = Draws(tree, Budget(metric, rough))
    return Budget(metric, (int(np.searchsorted(np.cumsum(fine.table.chances) / fine.all, SHARE)) + 1) * fine.step)


def rejected(space: SearchSpace, budget: Budget, rng: random.Random) -> None:
    """Draws from the whole space until a network is within the budget."""
    while not within(priced(space, draw(space, rng)).cost, [budget]):
        pass


def rate(make: Callable[[], object], number: int) -> float:
    """Calls per second."""
    since = time.perf_counter()
    for _ in range(number):
        make()
    return number / (time.perf_counter() - since)


if __name__ == "__main__":
    main()
