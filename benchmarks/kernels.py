"""Measures what the compiled kernels save: complete proxy trainings with and without them, and the accuracies of both.

    python benchmarks/kernels.py [--seeds 5] [--epochs 3] [--operators static dcd odconv] [--kernel-size 3] [--results FILE]

Each network is `fashion-quick`'s backbone (width 1, two blocks a stage, expansion 3, depthwise 3x3) with one operator in all
layers of the blocks that it supports, or with a dynamic activation (`dyrelu`, `dyshiftmax`), trained on `fashion-mini` with the
space's recipe on one thread. For each seed, both variants run one after the other, and they alternate in going first. The
output gives the machine, the median processor seconds, the ratio without / with kernels (median and quartiles over seeds), the
mean final accuracy, and the mean difference with - without kernels, each with its 95 % interval (Student's t over seeds).
Results are stored in the file `--results`, and a later call resumes; a new file measures everything again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.uncertainty import student
from dcdnas.data import load, split
from dcdnas.errors import GeometryError
from dcdnas.kernels import SWITCH, in_use
from dcdnas.networks import build_network, slots_of
from dcdnas.operators import dynamic_activations, operators
from dcdnas.space.library import load_space
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import seeded, train

RATE = 0.1
"""Peak learning rate, lower than that of a search, with which the table of the docs was made."""

PLAIN = Architecture(
    "mobilenetv2",
    {"channels": (8, 16, 32), "depth": 2, "strides": (1, 2, 2), "expansion": 3, "stem_channels": 8, "head_channels": 64}
    | {"stem_stride": 2, "kernel_size": 3},
    {},
    (1, 28, 28),
    10,
)  # fmt: skip


def network_of(operator: str, kernel_size: int = 3) -> Architecture:
    """The architecture of the backbone with an operator in the convolutions of its blocks, or with a dynamic activation."""
    layers, plain = {}, replace(PLAIN, settings={**PLAIN.settings, "kernel_size": kernel_size})
    if operator in dynamic_activations:
        return replace(plain, settings={**plain.settings, "activation": operator})
    for slot in slots_of(plain):
        if operator == "static" or slot.kind != "conv" or "block" not in slot.name:
            continue
        cls = operators[operator]
        with suppress(GeometryError):  # an operator that filters each channel cannot replace a 1x1 layer
            settings = cls.resolve(slot.geometry)
            layers[slot.name] = LayerChoice(operator, settings, cls.counted_form(slot.geometry, settings))
    return replace(plain, layers=layers)


def trained(operator: str, seed: int, switch: str, epochs: int, kernel_size: int = 3) -> dict[str, float]:
    """Runs a complete training; returns its processor seconds and final accuracy."""
    os.environ[SWITCH] = switch
    assert in_use() == (switch == "on")
    task = replace(load_space("fashion-quick").proxy, epochs=epochs, lr=RATE, seed=seed)
    images = split(load(task.data, task.resolution, task.classes), 0.2)
    with seeded(seed):
        network = build_network(network_of(operator, kernel_size))
    begun = time.process_time()
    score = train(network, images, task)
    return {"seconds": time.process_time() - begun, "accuracy": score.values["accuracy"]}


def processor() -> str:
    """Name of the processor, if the system reports it."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def interval(values: Sequence[float]) -> str:
    """The mean and the half-width of its 95 % interval."""
    half = student(len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.1f} +- {half:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--operators", nargs="+", default=["static", "dcd", "odconv"])
    parser.add_argument("--kernel-size", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found: dict[str, Any] = json.loads(asked.results.read_text()) if asked.results.exists() else {}

    def key_of(operator: str, seed: int, switch: str) -> str:
        return f"{operator} {asked.epochs} {asked.kernel_size} {seed} {switch}"

    for operator in ("static", "odconv"):
        trained(operator, 0, "off", 1)  # warm-up, so that no measured training includes one-time work of the process
    for seed in range(asked.seeds):
        for operator in asked.operators:
            for switch in ("off", "on") if seed % 2 else ("on", "off"):
                key = key_of(operator, seed, switch)
                if key not in found:
                    found[key] = trained(operator, seed, switch, asked.epochs, asked.kernel_size)
                    load = os.getloadavg()[0]
                    found["machine"] = f"{processor()}, torch {torch.__version__}, one thread"
                    found["load"] = [min(load, found.get("load", [load])[0]), max(load, found.get("load", [load])[-1])]
                    asked.results.write_text(json.dumps(found, indent=1) + "\n")
    low, high = found["load"]
    print(f"{found['machine']}, load {low:.0f} to {high:.0f}, {asked.epochs} epochs, n = {asked.seeds} seeds")
    heads = ("torch, processor s", "kernels", "torch / kernels (quartiles)", "accuracy, torch", "kernels", "difference")
    print(f"| operator | {' | '.join(heads)} |\n" + "| --- " * (1 + len(heads)) + "|")
    for operator in asked.operators:
        off, on = ([found[key_of(operator, seed, switch)] for seed in range(asked.seeds)] for switch in ("off", "on"))
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(off, on, strict=True)]
        cells = [f"{statistics.median(t['seconds'] for t in way):.1f}" for way in (off, on)]
        quarter, middle, three_quarters = statistics.quantiles(ratios, n=4, method="inclusive")
        cells.append(f"{middle:.2f} ({quarter:.2f}-{three_quarters:.2f})")
        reached = [[100 * t["accuracy"] for t in way] for way in (off, on)]
        cells += [interval(way) for way in (*reached, [b - a for a, b in zip(*reached, strict=True)])]
        print(f"| {operator} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
