"""Times static layers in training, in torch and with the compiled kernels: 1x1 and depthwise convolutions on channels-last maps.

    python benchmarks/static_layers.py [--batch 128] [--rounds 9]

Both take turns in each round, on one thread, in processor time. The output gives torch's minimum milliseconds of the forward and
of the backward pass, and the ratios of torch's time to that of the compiled kernels: medians and quartiles of the rounds. A star
marks layers that a training computes with torch (`dcdnas.kernels.shared_fits`).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from clock import turns
from torch import Tensor

from dcdnas.kernels import Convolution, shared_convolution, shared_fits
from dcdnas.training.allocator import keep_freed_memory

POINTWISE = [
    (8, 24, 14),
    (24, 8, 14),
    (16, 48, 7),
    (48, 16, 7),
    (32, 96, 4),
    (96, 32, 4),
    (16, 24, 28),
    (24, 144, 16),
    (64, 384, 7),
]
"""Input and output channels, side of the map."""

DEPTHWISE = [(24, 14, 1), (24, 14, 2), (48, 7, 1), (96, 8, 1), (96, 8, 2), (384, 7, 1), (64, 16, 1)]
"""Channels, side of the map, stride."""


def row(name: str, x: Tensor, weight: Tensor, how: Convolution, rounds: int) -> str:
    """Measures one layer; returns its line of the table."""
    forms: dict[str, Callable[[], Tensor]] = {
        "torch": lambda: F.conv2d(x, weight, None, how.stride, how.padding, 1, how.groups),
        "ours": lambda: shared_convolution(x, weight, how),
    }
    outputs = {form: call() for form, call in forms.items()}
    g = torch.randn_like(outputs["torch"])

    def backward(form: str) -> Callable[[], object]:
        return lambda: torch.autograd.grad(outputs[form], (x, weight), g, retain_graph=True)

    cells = []
    for calls in (forms, {form: backward(form) for form in forms}):
        found = turns(dict(calls), rounds, 60, torch.device("cpu"))
        ratios = [a / b for a, b in zip(found["torch"], found["ours"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        cells += [f"{min(found['torch']):.2f}", f"{middle:.2f} ({low:.2f}-{high:.2f})"]
    return f"| {name}{'' if shared_fits(x, weight, how) else ' *'} | {' | '.join(cells)} |"


def last(*shape: int) -> Tensor:
    """A random map in channels-last memory that requires gradients."""
    return torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()


def main() -> None:
    """Prints the table and the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print("| layer | forward, ms | torch / kernels | backward, ms | torch / kernels |")
    print("| --- | ---: | --- | ---: | --- |")
    for channels, out, side in POINTWISE:
        weight = torch.randn(out, channels, 1, 1).requires_grad_()
        name = f"1x1, {channels} to {out} channels, {side}x{side}"
        print(row(name, last(given.batch, channels, side, side), weight, Convolution(1, 0, 1), given.rounds), flush=True)
    for k in (5, 7):
        for channels, side, stride in DEPTHWISE:
            weight, how = torch.randn(channels, 1, k, k).requires_grad_(), Convolution(stride, k // 2, channels)
            name = f"depthwise {k}x{k}, {channels} channels, {side}x{side}, stride {stride}"
            print(row(name, last(given.batch, channels, side, side), weight, how, given.rounds), flush=True)
    load = os.getloadavg()[0]
    print(f"\nbatch {given.batch}, n = {given.rounds}, torch {torch.__version__}, {platform.machine()}, load {load:.0f}")


if __name__ == "__main__":
    main()
