"""Image classification: trains with cross entropy, evaluates by accuracy and loss on the validation images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from dcdnas.core.architecture import Architecture
from dcdnas.core.objective import Objective
from dcdnas.core.task import TrainingTask
from dcdnas.data import Images, Split, at_size, load, split
from dcdnas.networks import Network, for_proxy
from dcdnas.tasks._base import Report, Task
from dcdnas.tasks._objectives import ACCURACY, LOSS, of_classes
from dcdnas.training.loop import train

__all__ = ["Classification"]

VALIDATION = 0.2
"""Share of the training images that is kept for validation."""

_IMAGES: dict[tuple[str, str, int, int, float], Split] = {}
"""Images that this process holds in memory, by working folder, data set, resolution, classes and tolerated damaged pictures."""


class Classification(Task):
    """Classifies images, with the training recipe of a space's proxy; `-d DATA` names the images.

    Args:
        recipe: the recipe, which also names the images.

    Raises:
        DataError: when the images are missing or damaged.
    """

    objectives: tuple[Objective, ...] = (ACCURACY, LOSS)

    def __init__(self, recipe: TrainingTask) -> None:
        images = images_of(recipe).train
        self.recipe, self.objectives = recipe, self.scaled(images)
        self.input, self.outputs = images.shape, len(images.classes)

    @staticmethod
    def scaled(images: Images) -> tuple[Objective, ...]:
        """The objectives, on scales that begin at guessing."""
        return of_classes(len(images.classes))

    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        """See `Task.evaluate`. The images are resized to the network's input size.

        Raises:
            TrainingError: as `dcdnas.training.loop.train` does.
        """
        assert isinstance(network, Network)
        recipe = replace(self.recipe, epochs=epochs, seed=seed, scan=0)
        images = Split(*(at_size(part, *network.architecture.input[1:]) for part in images_of(recipe)))
        device = next(network.parameters()).device
        return train(network, images, recipe, lambda result: report(result.epoch, result.values), device).values


def trained_as(architecture: Architecture, images: Images, task: TrainingTask) -> Architecture:
    """Adapts an architecture to the images that it is trained on: to its share of their size, and to their classes."""
    return for_proxy(architecture, images.shape, len(images.classes), task.deployed_side)


def images_of(task: TrainingTask) -> Split:
    """Reads a task's images, once per process; the validation split is the same in every run.

    Raises:
        DataError: when the data set is missing or damaged.
    """
    key = _key(task)
    if key not in _IMAGES:
        _IMAGES.clear()
        _IMAGES[key] = split(load(task.data, task.resolution, task.classes, task.skip_damaged), VALIDATION)
    return _IMAGES[key]


def offer_images(task: TrainingTask, images: Split) -> None:
    """Gives this process images that another process holds in shared memory, so that it need not read them."""
    _IMAGES.setdefault(_key(task), images)


def _key(task: TrainingTask) -> tuple[str, str, int, int, float]:
    """Cache key of a task's images; includes the working folder where the data set has a relative path."""
    argument = task.data.partition(":")[2]
    where = "" if not argument or Path(argument).is_absolute() else str(Path.cwd())
    return where, task.data, task.resolution, task.classes, task.skip_damaged
