"""Short trainings of dynamic layers from different starts: which start loses least to the static network, at the same width?

The same small MobileNetV2-like network is trained with static, DCD and ODConv layers, each dynamic one from the start at the
static function (the default) and from the published start; likewise with the published temperature schedule left out. Judged on
validation images; every variant sees the same images in the same order, seed by seed.

    python benchmarks/starts.py [--data fashion-mnist] [--epochs 3 10] [--seeds 3] [--jobs 1] [--variants ...]

Needs the full Fashion-MNIST (Debian's package `dataset-fashion-mnist`) unless another data set is named.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from dcdnas.allocator import keep_freed_memory
from dcdnas.architecture import Architecture, LayerChoice
from dcdnas.cost import price
from dcdnas.data import load, split
from dcdnas.networks import Network, build_network, slots_of
from dcdnas.operators import operators
from dcdnas.operators.dcd import DCD
from dcdnas.operators.dcd._init import published_start
from dcdnas.operators.odconv import ODConv
from dcdnas.records import ProxyTask, Setting
from dcdnas.training import seeded, train

BACKBONE = {
    "channels": (8, 16, 32), "strides": (1, 2, 2), "depth": (1, 2, 2), "expansion": 3, "kernel_size": 3,
    "stem_channels": 8, "stem_stride": 2, "head_channels": 64,
}  # fmt: skip
POINTWISE = ("expand", "project")
EVERYWHERE = (*POINTWISE, "depthwise")


@dataclass(frozen=True)
class Variant:
    """An operator in some places, and what is done to the network before it is trained."""

    operator: str
    roles: tuple[str, ...] = ()
    settings: Mapping[str, Setting] | None = None
    start: Callable[[Network], None] = lambda network: None


def publish_dcd(network: Network) -> None:
    """Starts every DCD layer as the published code does."""
    for m in network.modules():
        if isinstance(m, DCD):
            published_start(m.residual, m.controller, m.rule)


def publish_odconv(network: Network) -> None:
    """Starts every ODConv layer as the published code does."""
    for m in network.modules():
        if isinstance(m, ODConv):
            m._start(True)


def no_annealing(network: Network) -> None:
    """Temperatures are 1 from the first step on."""
    network.anneal(1.0)
    network.anneal = lambda progress: None  # type: ignore[method-assign]


VARIANTS: Mapping[str, Variant] = {
    "static": Variant("static"),
    "dcd": Variant("dcd", POINTWISE),
    "dcd, published start": Variant("dcd", POINTWISE, start=publish_dcd),
    "dcd code": Variant("dcd", POINTWISE, {"variant": "code"}),
    "dcd code, published start": Variant("dcd", POINTWISE, {"variant": "code"}, publish_dcd),
    "odconv n=1": Variant("odconv", EVERYWHERE),
    "odconv n=1, no annealing": Variant("odconv", EVERYWHERE, start=no_annealing),
    "odconv n=1, published": Variant("odconv", EVERYWHERE, {"gates": "sigmoid"}, publish_odconv),
    "odconv n=4": Variant("odconv", EVERYWHERE, {"num_kernels": 4}),
    "odconv n=4, published": Variant("odconv", EVERYWHERE, {"num_kernels": 4, "gates": "sigmoid"}, publish_odconv),
}


def architecture_of(variant: Variant) -> Architecture:
    """The network with the variant's operator in its places."""
    bare = Architecture("mobilenetv2", BACKBONE, {}, (1, 28, 28), 10)
    cls, layers = operators[variant.operator], {}
    for slot in slots_of(bare):
        if slot.role in variant.roles:
            resolved = cls.resolve(slot.geometry, **(variant.settings or {}))
            layers[slot.name] = LayerChoice(variant.operator, resolved, cls.counted_form(slot.geometry, resolved))
    return Architecture("mobilenetv2", BACKBONE, layers, (1, 28, 28), 10)


def trained(job: tuple[str, str, int, int]) -> tuple[str, int, float, float]:
    """One training: the variant, its epochs, accuracy in per cent, processor seconds."""
    name, data, epochs, seed = job
    torch.set_num_threads(1)
    keep_freed_memory()
    variant = VARIANTS[name]
    with seeded(seed):
        network = build_network(architecture_of(variant))
        variant.start(network)
    begun = time.process_time()
    score = train(network, split(load(data)), ProxyTask(data=data, epochs=epochs, seed=seed, augment="flip"))
    return name, epochs, 100 * score.accuracy, time.process_time() - begun


def main() -> None:
    """Trains every variant on every seed and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}; {given.data}")
    jobs = [(v, given.data, e, s) for e in given.epochs for s in range(given.seeds) for v in given.variants]
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for name, epochs, accuracy, seconds in pool.imap_unordered(trained, jobs):
            found.setdefault((name, epochs), []).append((accuracy, seconds))
            print(f"  {epochs:2} epochs  {name:28} {accuracy:.2f} %  {seconds:.0f} s", flush=True)
    print(f"\nValidation accuracy in per cent, mean ± standard deviation of {given.seeds} seeds (processor seconds)")
    print("| layers | kFLOPs | kparams | " + " | ".join(f"{e} epochs" for e in given.epochs) + " |")
    print("| --- | --- | --- |" + " --- |" * len(given.epochs))
    for name in given.variants:
        cost = price(architecture_of(VARIANTS[name]))
        cells = [cell(found[name, epochs]) for epochs in given.epochs]
        print(f"| {name} | {cost['flops'] / 1e3:.0f} | {cost['params'] / 1e3:.1f} | " + " | ".join(cells) + " |")


def cell(values: list[tuple[float, float]]) -> str:
    """Mean, deviation and processor seconds."""
    accuracies, seconds = zip(*values, strict=True)
    spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    return f"{statistics.mean(accuracies):.2f}{spread} ({statistics.mean(seconds):.0f} s)"


if __name__ == "__main__":
    main()
