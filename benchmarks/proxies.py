"""Measures the time of a proxy training of each large space on one CPU thread, by the resolution of its images.

    python benchmarks/proxies.py [--resolutions 16 24 32] [--draws 2] [--steps 3]

For each space, it measures the most expensive uniform static network within the budget and random networks within it. The output
gives the seconds of an epoch of 6,400 images, extrapolated from the median of some steps with 128 images after a warm-up step.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time
from itertools import islice

import torch
import torch.nn.functional as F

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import parse_budgets
from dcdnas.cost import notations, price
from dcdnas.networks import build_network, for_proxy
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import draws_within
from dcdnas.space.pricing.ladder import static_ladder
from dcdnas.training.allocator import keep_freed_memory

SPACES = {"mobilenetv2-imagenet": "300MFLOPs", "resnet-imagenet": "1.8GFLOPs"}
BATCH, STEPS_AN_EPOCH = 128, 50


def main() -> None:
    """Prints a line for each network and resolution."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[16, 24, 32])
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, 1 thread")
    for name, budget in SPACES.items():
        space, budgets = load_space(name), parse_budgets([budget], notations())
        drawn = list(islice(draws_within(space, budgets, random.Random(0)), given.draws))
        for found in [*static_ladder(space, budgets)[:1], *drawn]:
            for resolution in given.resolutions:
                proxy = for_proxy(found.architecture, (1, resolution, resolution), 10)
                seconds = [STEPS_AN_EPOCH * s for s in steps(proxy, given.steps)]
                print(
                    f"{name}, {found.cost['flops'] / 1e6:.0f} MFLOPs at deployment, {resolution}x{resolution}: "
                    f"{price(proxy)['flops'] / 1e6:.0f} MFLOPs, {statistics.median(seconds):.0f} s an epoch "
                    f"({min(seconds):.0f} to {max(seconds):.0f}, n {len(seconds)})",
                    flush=True,
                )


def steps(architecture: Architecture, number: int) -> list[float]:
    """Seconds of each of `number` training steps, after a warm-up step."""
    network = build_network(architecture).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    x = torch.randn(BATCH, *architecture.input).contiguous(memory_format=torch.channels_last)
    y = torch.randint(architecture.classes, (BATCH,))
    times = []
    for _ in range(number + 1):
        begun = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
        times.append(time.perf_counter() - begun)
    return times[1:]


if __name__ == "__main__":
    main()
