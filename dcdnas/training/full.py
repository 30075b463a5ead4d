"""A found network trained in earnest, on several seeds; the test images are opened once, after all trainings."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.data import Images, Split, load, load_test, open_source
from dcdnas.errors import UsageError
from dcdnas.networks import Network, build_network, for_proxy
from dcdnas.training.loop import evaluate, seeded, train

VALIDATION = 0.1
"""Share of the training images that is kept to watch the training with."""


@dataclass(frozen=True)
class Trained:
    """One training.

    Args:
        seed: of initial weights, order and augmentation.
        network: trained, in eval mode.
        score: on the validation images, its last epoch being what counts.
        test_accuracy: on the test images, 0-1; None before they are opened.
    """

    seed: int
    network: Network
    score: Score
    test_accuracy: float | None = None


def best_device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def images_for(architecture: Architecture, task: TrainingTask) -> Images:
    """A task's training images, at the network's own size where their classes and channels are the network's.

    Raises:
        DataError: when the data set is missing or damaged.
    """
    channels, height, _ = architecture.input
    side = task.resolution or (height if open_source(task.data).DECODES else 0)
    images = load(task.data, side, task.classes, task.skip_damaged)
    same = images.shape[0] == channels and len(images.classes) == architecture.classes
    if side or not same or images.shape[1] == height:
        return images
    return load(task.data, height, task.classes, task.skip_damaged)


def fitted(architecture: Architecture, images: Images) -> Architecture:
    """The architecture for these images: itself where size and classes are its own, else adapted as a proxy is."""
    if architecture.input == images.shape and architecture.classes == len(images.classes):
        return architecture
    return for_proxy(architecture, images.shape, len(images.classes))


def train_seeds(
    architecture: Architecture,
    images: Split,
    task: TrainingTask,
    seeds: Sequence[int],
    report: Callable[[int, EpochResult], None] = lambda seed, report: None,
    device: str = "cpu",
) -> list[Trained]:
    """Trains the network once a seed.

    Args:
        architecture: is fitted to the images.
        images: to learn from, and to watch the training with.
        task: the recipe; its seed is not used.
        seeds: of the trainings.
        report: told every epoch, with the seed.
        device: to train on.

    Raises:
        TrainingError: when a training cannot go on.
    """
    found = []
    for seed in seeds:
        with seeded(seed, device):
            network = build_network(fitted(architecture, images.train))

        def told(r: EpochResult, seed: int = seed) -> bool:
            report(seed, r)
            return True

        found.append(Trained(seed, network, train(network, images, replace(task, seed=seed), told, device)))
    return found


def judged_on_test(trained: Sequence[Trained], train_images: Images, device: str = "cpu") -> list[Trained]:
    """Opens the test images, once, and judges every network on them.

    Raises:
        DataError: when the test part is missing or damaged.
    """
    test = load_test(train_images)
    return [replace(t, test_accuracy=evaluate(t.network, test, device=device)[0]) for t in trained]


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation; no deviation of a single value.

    Raises:
        UsageError: without values.
    """
    if not values:
        raise UsageError("there is no training to take the mean of. Give at least one seed.")
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
