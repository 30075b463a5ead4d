"""Readings of a network's attentions during a training by other code, so that their course is known for a short training too."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from dcdnas.core.dynamics import Reading
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split
from dcdnas.networks import Network
from dcdnas.training.attentions import reading_of, showing
from dcdnas.training.loop import steps_per_epoch
from dcdnas.training.statistics import reestimate

READINGS = 24
"""Approximate number of readings in a short training; a long one has one reading per epoch."""


class Follower:
    """Takes readings at even intervals over a training's steps, from the first on, without changing a bit of its result.

    Each reading is of a copy of the network with re-estimated BatchNorm statistics, like the readings after an epoch, because the
    statistics of training lag behind the weights.

    Args:
        network: to be trained by `dcdnas.training.loop.train`.
        images: training and validation images, at the network's size.
        task: the recipe.
    """

    def __init__(self, network: Network, images: Split, task: TrainingTask) -> None:
        self.network, self.images, self.task = network, images, task
        self.readings: list[Reading] = []
        self.steps = steps_per_epoch(len(images.train), task)
        self.every = max(1, min(self.steps, self.steps * task.epochs // READINGS))
        """Steps between two readings."""
        self._passes = 0
        self._per_step = len(torch.arange(min(task.batch_size, len(images.train))).chunk(task.accumulate))

        def look(module: nn.Module, given: Any) -> None:  # not a method, because copying the network would then copy this object
            if torch.is_grad_enabled():
                self._look()

        self._handle = network.register_forward_pre_hook(look)

    def _look(self) -> None:
        """Counts a forward pass that is about to run, and takes a reading when one is due."""
        step, part = divmod(self._passes, self._per_step)
        self._passes += 1
        if part == 0 and step % self.every == 0:
            self._read(step)

    def _read(self, step: int) -> None:
        device = next(self.network.parameters()).device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            shown = showing(self.network)
            reestimate(shown, self.images.train, self.task.norm_batches, self.task.batch_size, device, nullcontext)
            self.readings.append(reading_of(shown, self.images.validation, step / self.steps))

    def end(self) -> list[Reading]:
        """Stops following the network and returns all readings, including one of the trained network when it is due."""
        self._handle.remove()
        step, part = divmod(self._passes, self._per_step)
        if part == 0 and step % self.every == 0:
            self._read(step)
        return self.readings
