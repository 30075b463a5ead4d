"""A small network and a few real images, for tests of training."""

from __future__ import annotations

from typing import Any

import torch

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split, load
from dcdnas.networks import Network, build_network
from dcdnas.training.loop import seeded

SETTINGS: dict[str, Any] = {
    "channels": (8, 16),
    "depth": 1,
    "strides": (2, 2),
    "expansion": 2,
    "stem_channels": 8,
    "head_channels": 16,
    "dropout": 0.1,
}
TASK = TrainingTask(epochs=3, batch_size=32, augment="flip")


def network(seed: int = 0) -> Network:
    with seeded(seed):
        return build_network(Architecture("mobilenetv2", SETTINGS, {}, (1, 28, 28), 10))


def small_data() -> Split:
    """A split of 250 training images and 40 validation images."""
    some = load("fashion-mini").take(torch.arange(0, 8000, 27)[:290])
    return Split(some.take(torch.arange(250)), some.take(torch.arange(250, 290)))
