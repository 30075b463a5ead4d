"""Measures the training loop on one CPU thread: images per second, the share of the data path, and variants of the loop.

All variants run the same steps in turns, so that other load slows them alike. On a shared machine, compare the processor times;
wall times are printed beside them.

    OMP_NUM_THREADS=1 python benchmarks/training.py [steps]
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
import torch.nn.functional as F

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.cost import price
from dcdnas.data import Split, load, split
from dcdnas.networks import Network, build_network
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.loop import batches, evaluate, seeded
from dcdnas.training.optimizer import parameter_groups

CPU = torch.device("cpu")
SMALL = {"channels": (8, 16, 24), "depth": (1, 2, 2), "strides": (1, 2, 2), "expansion": (1, 4, 4), "stem_channels": 8}
NETWORKS = {
    "MobileNetV2-like, stem stride 1": Architecture(
        "mobilenetv2", {**SMALL, "head_channels": 64, "stem_stride": 1}, {}, (1, 28, 28), 10
    ),
    "ResNet-like, stem small": Architecture(
        "resnet",
        {"channels": (8, 16, 32), "depth": 1, "strides": (1, 2, 2), "stem": "small", "stem_channels": 8},
        {},
        (1, 28, 28),
        10,
    ),
}

Result = TypeVar("Result")
Seconds = tuple[float, float]
"""Wall and processor seconds."""


class Variant:
    """A variant of the training: a network, a memory layout and an optimizer, stepped one batch at a time."""

    def __init__(self, architecture: Architecture, data: Split, last: bool = True, **optimizer: bool) -> None:
        self.layout = torch.channels_last if last else torch.contiguous_format
        with seeded(0):
            self.network: Network = build_network(architecture).to(memory_format=self.layout)
        groups = parameter_groups(self.network, TrainingTask())
        self.optimizer = torch.optim.SGD(groups, 0.1, momentum=0.9, nesterov=True, **optimizer)
        self.data, self.batches, self.step_times, self.data_times = data, self.epochs(), list[Seconds](), list[Seconds]()

    def epochs(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        while True:
            yield from batches(self.data.train, TrainingTask(augment="crop-flip"), generator, CPU)

    def step(self) -> None:
        """Draws, augments and normalises a batch, then runs one training step; records how long both took."""
        (x, y), seconds = timed(lambda: next(self.batches))
        self.data_times.append(seconds)
        x = x.contiguous(memory_format=self.layout)
        self.step_times.append(timed(lambda: self.learn(x, y))[1])

    def learn(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.network(x), y, label_smoothing=0.1).backward()
        self.optimizer.step()


def timed(call: Callable[[], Result]) -> tuple[Result, Seconds]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def spread(values: list[float]) -> str:
    """Median and quartiles in milliseconds."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{1e3 * middle:7.1f} ms ({1e3 * low:.1f}-{1e3 * high:.1f})"


def compare(title: str, variants: dict[str, Variant], steps: int) -> None:
    print(f"\n{title}: {steps} steps of 128 images each, in turns; median (quartiles)")
    for _ in range(steps + 3):
        for variant in variants.values():
            variant.step()
    for name, variant in variants.items():
        wall, cpu = ([pair[i] for pair in variant.step_times[3:]] for i in (0, 1))
        data = statistics.median(pair[1] for pair in variant.data_times[3:])
        share = data / (data + statistics.median(cpu))
        rate = 128 / (data + statistics.median(cpu))
        print(f"  {name:34s} cpu {spread(cpu)}  wall {spread(wall)}  {rate:6.0f} images/s of cpu, data path {share:.1%}")


def compare_evaluation(data: Split, rounds: int) -> None:
    with seeded(0):
        network = build_network(next(iter(NETWORKS.values()))).to(memory_format=torch.channels_last)
    times: dict[int, list[float]] = {size: [] for size in (64, 128, 256, 512, 1024)}
    for _ in range(rounds):
        for size, seconds in times.items():
            seconds.append(timed(lambda size=size: evaluate(network, data.validation, size))[1][1])
    print(f"\nEvaluation of {len(data.validation)} images, {rounds} rounds; processor time")
    for size, seconds in times.items():
        print(f"  batches of {size:<4d} {spread(seconds)}  {len(data.validation) / statistics.median(seconds):6.0f} images/s")


def main(steps: int) -> None:
    torch.set_num_threads(1)
    load_average = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load_average}, 1 thread")
    print(f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), Python {platform.python_version()}")
    data = split(load("fashion-mini"))
    for name, architecture in NETWORKS.items():
        flops = price(architecture)["flops"] / 1e6
        layouts = {"channels first": Variant(architecture, data, last=False), "channels last": Variant(architecture, data)}
        compare(f"{name}, {flops:.2f} MFLOPs, layout", layouts, steps)
    first = next(iter(NETWORKS.values()))
    optimizers = {
        "SGD, one tensor at a time": {"foreach": False},
        "SGD, foreach": {"foreach": True},
        "SGD, fused": {"fused": True},
    }
    compare("Optimizer", {name: Variant(first, data, **options) for name, options in optimizers.items()}, steps)
    compare("Before keeping freed memory", {"channels last, fused": Variant(first, data, fused=True)}, steps)
    keep_freed_memory()
    compare("After keeping freed memory", {"channels last, fused": Variant(first, data, fused=True)}, steps)
    compare_evaluation(data, max(3, steps // 6))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
