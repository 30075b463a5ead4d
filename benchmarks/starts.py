"""Compares initialisations of dynamic layers in short trainings with the static network of the same width.

The same small MobileNetV2-like network is trained with static, DCD and ODConv layers. Dynamic layers are initialised either at
the static function (the default) or as published. Further variants train without annealing, or with a separate learning rate or
warm-up for the controllers. The measure is the accuracy on validation images; for each seed, every variant sees the same images
in the same order.

    python benchmarks/starts.py [--data fashion-mnist] [--epochs 3 10] [--seeds 3] [--jobs 1] [--variants ...] [--done FILE]

Each training is printed as a line, and trainings whose lines are in FILE, the output of an earlier call, are not repeated.

Needs the full Fashion-MNIST (Debian's package `dataset-fashion-mnist`) unless another data set is named.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.geometry import Setting
from dcdnas.core.task import TrainingTask
from dcdnas.cost import price
from dcdnas.data import load, split
from dcdnas.networks import Network, build_network, slots_of
from dcdnas.operators import operators
from dcdnas.operators.dcd import DCD
from dcdnas.operators.dcd._init import published_start
from dcdnas.operators.odconv import ODConv
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import seeded, train

BACKBONE = {
    "channels": (8, 16, 32), "strides": (1, 2, 2), "depth": (1, 2, 2), "expansion": 3, "kernel_size": 3,
    "stem_channels": 8, "stem_stride": 2, "head_channels": 64,
}  # fmt: skip
RATE = 0.1
"""Peak learning rate, lower than the default of a search, with which the table of the docs was made."""

POINTWISE = ("expand", "project")
EVERYWHERE = (*POINTWISE, "depthwise")


@dataclass(frozen=True)
class Variant:
    """An operator in some places, a change of the network before it is trained, and a changed recipe."""

    operator: str
    roles: tuple[str, ...] = ()
    settings: Mapping[str, Setting] | None = None
    start: Callable[[Network], None] = lambda network: None
    recipe: Mapping[str, float] = field(default_factory=dict)


def publish_dcd(network: Network) -> None:
    """Initialises every DCD layer as the published code does."""
    for m in network.modules():
        if isinstance(m, DCD):
            published_start(m.residual, m.controller, m.rule)


def publish_odconv(network: Network) -> None:
    """Initialises every ODConv layer as the published code does."""
    for m in network.modules():
        if isinstance(m, ODConv):
            m._start(True)


def no_annealing(network: Network) -> None:
    """Sets the temperatures to 1 from the first step on."""
    network.anneal(1.0)
    network.anneal = lambda progress: None  # type: ignore[method-assign]


CONTROLLERS: Mapping[str, Mapping[str, float]] = {
    "controller lr x 0.1": {"controller_lr": 0.1},
    "controller lr x 3": {"controller_lr": 3.0},
    "controller warm-up 0.3": {"controller_warmup": 0.3},
    "warm-up 0.3": {"warmup": 0.3},
}
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
    "static, warm-up 0.3": Variant("static", recipe={"warmup": 0.3}),
    **{
        f"{name}, {what}": Variant(operator, roles, settings, recipe=recipe)
        for name, operator, roles, settings in (
            ("dcd", "dcd", POINTWISE, None),
            ("dcd code", "dcd", POINTWISE, {"variant": "code"}),
            ("odconv n=1", "odconv", EVERYWHERE, None),
            ("odconv n=4", "odconv", EVERYWHERE, {"num_kernels": 4}),
        )
        for what, recipe in CONTROLLERS.items()
    },
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


def trained(job: tuple[str, str, int, int]) -> tuple[str, int, int, float, float]:
    """Runs one training; returns the variant, its epochs and seed, the accuracy in per cent, and the processor seconds."""
    name, data, epochs, seed = job
    torch.set_num_threads(1)
    keep_freed_memory()
    variant = VARIANTS[name]
    with seeded(seed):
        network = build_network(architecture_of(variant))
        variant.start(network)
    begun = time.process_time()
    task = replace(TrainingTask(data=data, epochs=epochs, lr=RATE, seed=seed, augment="flip"), **variant.recipe)
    score = train(network, split(load(data)), task)
    return name, epochs, seed, 100 * score.values["accuracy"], time.process_time() - begun


def main() -> None:
    """Trains every variant on every seed and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--done", type=Path, help="file with the output of an earlier call")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}; {given.data}")
    wanted = [(v, e, s) for e in given.epochs for s in range(given.seeds) for v in given.variants]
    found = {job: result for job, result in earlier(given.done) if job in wanted}
    jobs = [(v, given.data, e, s) for v, e, s in wanted if (v, e, s) not in found]
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for name, epochs, seed, accuracy, seconds in pool.imap_unordered(trained, jobs):
            found[name, epochs, seed] = accuracy, seconds
            print(f"  {epochs} epochs | seed {seed} | {name} | {accuracy:.2f} % | {seconds:.0f} s", flush=True)
    print(f"\nValidation accuracy in per cent, mean ± standard deviation of {given.seeds} seeds (processor seconds)")
    print("| layers | kFLOPs | kparams | " + " | ".join(f"{e} epochs" for e in given.epochs) + " |")
    print("| --- | --- | --- |" + " --- |" * len(given.epochs))
    for name in given.variants:
        cost = price(architecture_of(VARIANTS[name]))
        cells = [cell([found[name, epochs, seed] for seed in range(given.seeds)]) for epochs in given.epochs]
        print(f"| {name} | {cost['flops'] / 1e3:.0f} | {cost['params'] / 1e3:.1f} | " + " | ".join(cells) + " |")


def earlier(path: Path | None) -> Iterator[tuple[tuple[str, int, int], tuple[float, float]]]:
    """Yields the trainings in the output of an earlier call: variant, epochs and seed; accuracy and seconds."""
    line = re.compile(r"  (\d+) epochs \| seed (\d+) \| (.+) \| ([\d.]+) % \| (\d+) s")
    for epochs, seed, name, accuracy, seconds in line.findall(path.read_text() if path else ""):
        yield (name, int(epochs), int(seed)), (float(accuracy), float(seconds))


def cell(values: list[tuple[float, float]]) -> str:
    """Mean accuracy, standard deviation and mean processor seconds."""
    accuracies, seconds = zip(*values, strict=True)
    spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    return f"{statistics.mean(accuracies):.2f}{spread} ({statistics.mean(seconds):.0f} s)"


if __name__ == "__main__":
    main()
