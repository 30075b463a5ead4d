"""Readings of a network's attentions while somebody else trains it, so that a short training has a course too."""

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
"""Of a training, about; a long one has one an epoch."""


class Follower:
    """Takes readings evenly over the steps of a training, from its first step on; the training's bits stay the same.

    Each is of a copy, with BatchNorm statistics of its own, as those after an epoch are: training's lag behind the weights.

    Args:
        network: that is going to be trained, by `dcdnas.training.loop.train`.
        images: that it learns from and is judged on, at its size.
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

        def look(module: nn.Module, given: Any) -> None:  # no method: a copy of the network would copy this object with it
            if torch.is_grad_enabled():
                self._look()

        self._handle = network.register_forward_pre_hook(look)

    def _look(self) -> None:
        """Counts a pass of a step that is about to be done, and reads where it is time to."""
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
        """All readings, with one of the trained network where it is time for it; it is no longer followed."""
        self._handle.remove()
        step, part = divmod(self._passes, self._per_step)
        if part == 0 and step % self.every == 0:
            self._read(step)
        return self.readings
