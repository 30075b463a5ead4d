"""How fast a fresh operator learns behind a norm, which divides its output, and so its gradient, by the output's scale."""

from __future__ import annotations

import statistics
from dataclasses import replace

import torch
import torch.nn.functional as F

from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.operators import Operator, operators

BATCH = 16


def gain(operator: type[Operator], geometry: ConvGeometry, progress: float, seeds: int, **settings: Setting) -> float:
    """What a small step of SGD gains: the squared norm of the gradient of a random linear loss of the normalised output.

    Args:
        operator: the class.
        geometry: of the layer.
        progress: of the annealing, 0-1.
        seeds: number of fresh layers, images and losses, of which the median is taken.
        **settings: of the operator.
    """
    found = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        made = operator.at(geometry, "", 0, **settings)
        made.anneal(progress)
        y = F.batch_norm(
            made(torch.randn(BATCH, geometry.in_channels, geometry.height, geometry.width)), None, None, training=True
        )
        (y * torch.randn_like(y)).sum().backward()  # type: ignore[no-untyped-call]
        found.append(sum(float(p.grad.square().sum()) for p in made.parameters() if p.grad is not None))
    return statistics.median(found)


def learning_speed(operator: type[Operator], geometry: ConvGeometry, progress: float, seeds: int, **settings: Setting) -> float:
    """The gain of an operator relative to that of a static convolution, a depthwise one if it filters each channel separately."""
    static, alone = geometry, replace(geometry, groups=geometry.in_channels)
    if operator.convolving(geometry, operator.resolve(geometry, **settings)) == alone.out_pixels * alone.weights:
        static = alone
    return gain(operator, geometry, progress, seeds, **settings) / gain(operators["static"], static, 0.0, seeds)
