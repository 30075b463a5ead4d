"""What a worker does with one job: take the images, build the network for the proxy, train it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from dcdnas.core.architecture import Architecture
from dcdnas.core.plugins import Plugin, offer
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.cost import verified
from dcdnas.data import Images, Split, at_size, load, split
from dcdnas.engine.job import Job
from dcdnas.engine.weights import file_of
from dcdnas.errors import DcdnasError
from dcdnas.networks import Network, build_network, for_proxy
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.checkpoint import write_weights
from dcdnas.training.loop import train

Reporter = Callable[[EpochResult], bool]
"""Takes one epoch's report, returns whether to go on."""

Train = Callable[[Job, Reporter], Score]
"""Runs a job to its end."""

VALIDATION = 0.2
"""Share of the training part that is kept for judging."""

_IMAGES: dict[tuple[str, int, int, float], Split] = {}
"""What this process has in memory, by data set, resolution, classes and how many damaged pictures may be left out."""


@dataclass(frozen=True)
class ProxyTraining:
    """Trains a job's network on its proxy task; the same job gives the same score on one kind of machine.

    Args:
        device: to train on, ``cpu`` or ``cuda``.
        threads: of torch in this process; 0 leaves them as they are.
        plugins: files with entries from outside the package; each is run when the training asks for its entry.
        weights: folder that takes the weights of trainings that finished, where this machine has it; None for nowhere.
    """

    device: str = "cpu"
    threads: int = 1
    plugins: tuple[Plugin, ...] = ()
    weights: Path | None = None

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Trains, once the network has measured what it was priced at; raises what either raises."""
        network, score = self.trained(job, report)
        if self.weights is not None and self.weights.is_dir() and score.epochs == job.task.epochs:
            with suppress(DcdnasError):  # a full disk must not cost the result too
                write_weights(network, self.weights / file_of(job))
        return score

    def trained(self, job: Job, report: Reporter = lambda _: True) -> tuple[Network, Score]:
        """As a call, with the network itself."""
        if self.threads:
            torch.set_num_threads(self.threads)
        if self.device == "cpu":
            keep_freed_memory()
        offer(self.plugins)
        if not job.confirm:
            verified(job.architecture, job.metrics)
        images = images_of(job.task)
        trained = trained_as(job.architecture, images.train, job.task)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.task.seed)
            network = build_network(trained)
        images = Split(*(at_size(part, *trained.input[1:]) for part in images))
        return network, train(network, images, job.task, report, self.device)


def trained_as(architecture: Architecture, images: Images, task: TrainingTask) -> Architecture:
    """What a proxy training builds of an architecture: at its share of the images' size, with their classes."""
    return for_proxy(architecture, images.shape, len(images.classes), task.deployed_side)


def images_of(task: TrainingTask) -> Split:
    """The task's images, read once a process; which are kept for validation is the same in every run.

    Raises:
        DataError: when the data set is missing or damaged.
    """
    key = (task.data, task.resolution, task.classes, task.skip_damaged)
    if key not in _IMAGES:
        _IMAGES.clear()
        _IMAGES[key] = split(load(*key), VALIDATION)
    return _IMAGES[key]


def offer_images(task: TrainingTask, images: Split) -> None:
    """Gives this process images that it need not read, because another one shares its memory."""
    _IMAGES.setdefault((task.data, task.resolution, task.classes, task.skip_damaged), images)
