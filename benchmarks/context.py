"""Measures whether global context (Hamburger) helps a small segmentation network, compared with none and with more channels.

    python benchmarks/context.py [--seeds 8] [--results FILE]      prints the table of docs/spaces.md

A static network of the space `segmentation-quick` is trained with the space's own recipe, 8 epochs on 400 drawn images of 32x32
pixels, with and without context blocks at some stages. All variants use the same seeds, images and masks, so that differences are
paired. The measure is the mean IoU on 200 other images. Each training is stored as a line of the results, and a later call
resumes after the last one.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from result_lines import rows_of

from dcdnas.core.architecture import Architecture
from dcdnas.core.uncertainty import between_pairs
from dcdnas.cost import price
from dcdnas.data import Split, load, load_test
from dcdnas.networks import build_network
from dcdnas.space.library import load_space
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import seeded, train

SPACE = "segmentation-quick"
NETWORKS: dict[str, dict[str, Any]] = {
    "none": {},
    "nmf of rank 8 in stage 2": {"hamburger_rank": (0, 8, 0)},
    "nmf of rank 8 in stage 3": {"hamburger_rank": (0, 0, 8)},
    "nmf of rank 8 in both": {"hamburger_rank": (0, 8, 8)},
    "cd of rank 8 in stage 2": {"hamburger_rank": (0, 8, 0), "hamburger_decomposition": ("nmf", "cd", "nmf")},
    "none, expansion 5 for 4": {"expansion": 5},
}
"""Settings of each variant that differ from the network without context."""


def architecture(settings: dict[str, Any]) -> Architecture:
    """The space's static network of width 1, depth 1, 3x3 kernels and expansion 4, changed by `settings`."""
    space, wanted = load_space(SPACE), {"width": 1.0, "expansion": 4}
    found = space.architecture(space.decide(lambda name, options: wanted.get(name, options[0])))
    return replace(found, settings={**found.settings, **settings})


def trained(name: str, seed: int) -> float:
    """Mean IoU on the test images, 0-1."""
    torch.set_num_threads(1)
    keep_freed_memory()
    task = replace(load_space(SPACE).proxy, seed=seed)
    with seeded(seed):
        network = build_network(architecture(NETWORKS[name]))
    images = load(task.data)
    return train(network, Split(images, load_test(images)), task).values["mean_iou"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--results", type=Path, default=Path("context.jsonl"))
    given = parser.parse_args()
    found = {(name, seed): value for name, seed, value in rows_of(given.results)}
    for seed in range(given.seeds):
        for name in NETWORKS:
            if (name, seed) not in found:
                found[name, seed] = trained(name, seed)
                with given.results.open("a") as file:
                    file.write(json.dumps([name, seed, found[name, seed]]) + "\n")
    print(f"IoU in per cent over {given.seeds} seeds: mean ± standard deviation, difference to none with its 95 % interval")
    for name, settings in NETWORKS.items():
        values = [100 * found[name, seed] for seed in range(given.seeds)]
        apart = [value - 100 * found["none", seed] for seed, value in enumerate(values)]
        cost = price(architecture(settings))["flops"] / 1e6
        print(f"{name:26} {cost:5.2f} MFLOPs {statistics.fmean(values):5.1f} ± {statistics.stdev(values):.1f}", end="")
        found_apart = between_pairs(apart)
        print("" if name == "none" else f"  {found_apart.mean:+.1f} ({found_apart.low:+.1f} to {found_apart.high:+.1f})")


if __name__ == "__main__":
    main()
