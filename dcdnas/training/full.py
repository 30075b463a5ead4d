"""A found network trained in earnest, on several seeds, kept on the disk; the test images are judged on once, after all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from dcdnas.core.architecture import Architecture
from dcdnas.core.files import make_folder
from dcdnas.core.lock import FolderLock
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Score
from dcdnas.data import Images, Split, load, load_test, open_source
from dcdnas.errors import Resumable, UsageError
from dcdnas.networks import Network, build_network, for_proxy
from dcdnas.training.folder import Row, TrainingFolder, described
from dcdnas.training.judging import check_masks
from dcdnas.training.loop import Clock, Training, evaluate, seeded
from dcdnas.training.starting import FRESH, Start

VALIDATION = 0.1
"""Share of the training images that is kept to watch the training with."""


DECODED = 2**30
"""Bytes that pictures in files may take decoded; more are read as they are needed."""


@dataclass(frozen=True)
class Trained:
    """One training.

    Args:
        seed: of initial weights, order and augmentation.
        network: trained, in eval mode.
        score: on the validation images, its last epoch being what counts.
        test: what it reached on the test images, by name; empty before they are opened.
    """

    seed: int
    network: Network
    score: Score
    test: Mapping[str, float] = field(default_factory=dict)


def best_device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def images_for(architecture: Architecture, task: TrainingTask) -> Images:
    """A task's training images, at the network's own size where their classes and channels are the network's.

    Pictures in files are read as they are needed where crops are of their own pixels, or they would be too much decoded.

    Raises:
        DataError: when the data set is missing or damaged.
    """
    channels, height, _ = architecture.input
    side = task.resolution or (height if open_source(task.data).DECODES else 0)
    images = load(task.data, side, task.classes, task.skip_damaged, 0 if task.augment == "resized-crop" else DECODED)
    same = images.shape[0] == channels and len(images.classes) == architecture.classes
    if side or not same or images.shape[1] == height:
        return images
    return load(task.data, height, task.classes, task.skip_damaged)


def fitted(architecture: Architecture, images: Images) -> Architecture:
    """The architecture for these images: itself where size and classes are its own, else adapted as a proxy is.

    Raises:
        UsageError: when the images have masks and the network has no head that scores pixels, or the other way round.
    """
    check_masks("the network", bool(architecture.head), images)
    if architecture.input == images.shape and architecture.classes == len(images.classes):
        return architecture
    return for_proxy(architecture, images.shape, len(images.classes))


class Watcher:
    """Told how trainings go on, and asked whether to stop; this one says nothing and never stops them."""

    def step(self, seed: int, training: Training) -> None:
        """Takes a training after each step."""

    def epoch(self, seed: int, rows: Sequence[Row]) -> None:
        """Takes all epochs of a training after each of them."""

    def ended(self, trained: Trained) -> None:
        """Takes a training when it has ended, before the next seed's begins."""

    def stopping(self) -> bool:
        """Whether the training under way shall be kept and left."""
        return False


Runner = Callable[[Architecture, Split, TrainingTask, TrainingFolder, Watcher, str, Start], Trained]
"""Takes one training from where its folder has it to its end, as `train_kept` does."""


def train_seeds(
    architecture: Architecture,
    images: Split,
    task: TrainingTask,
    seeds: Sequence[int],
    folder: Path,
    watcher: Watcher,
    resume: bool = False,
    device: str = "cpu",
    start: Start = FRESH,
    run: Runner | None = None,
    workers: int = 1,
) -> list[Trained]:
    """Trains the network once a seed and keeps each training in ``seed-N`` of a folder after every epoch, and when it is stopped.

    Args:
        architecture: is fitted to the images.
        images: to learn from, and to watch the training with.
        task: the recipe, whatever its seed.
        seeds: one training each.
        folder: that can be written to is checked before the first training.
        watcher: is told every step and epoch, and may stop the trainings.
        resume: whether to go on with the trainings that are kept in the folder; else there must be none.
        device: to train on.
        start: weights to begin with, and a teacher.
        run: takes a training from where its folder has it to its end; None for `train_kept`, in this process.
        workers: processes among which that shares a training, which is another training for another number.

    Raises:
        TrainingError: when a training cannot go on.
        Resumable: when it was stopped, or the disk is full.
        RunError: when the folder cannot be written to, another process trains in it, or it has trainings that are not to be
            resumed, or others than these.
    """
    with prepared(architecture, images, task, seeds, folder, resume, start, workers) as trainings:
        run = run or train_kept
        return [run(t.architecture, images, t.task, t.place, watcher, device, start) for t in trainings]


@dataclass(frozen=True)
class Prepared:
    """A training whose folder is checked and belongs to this process.

    Args:
        architecture: fitted to the images.
        task: the recipe, with its seed.
        place: where it is kept.
    """

    architecture: Architecture
    task: TrainingTask
    place: TrainingFolder


@contextmanager
def prepared(
    architecture: Architecture,
    images: Split,
    task: TrainingTask,
    seeds: Sequence[int],
    folder: Path,
    resume: bool = False,
    start: Start = FRESH,
    workers: int = 1,
) -> Iterator[list[Prepared]]:
    """Holds the folder of a network's trainings within the block; the arguments and errors are those of `train_seeds`."""
    architecture = fitted(architecture, images.train)
    tasks = [replace(task, seed=seed) for seed in seeds]
    make_folder(folder)
    with FolderLock(folder, "is being trained in by", "Wait for it, or name another folder with -o.") as lock:
        more = start.described() | ({"workers": workers} if workers > 1 else {})
        abouts = [described(architecture, images, of_seed) | more for of_seed in tasks]
        places = [TrainingFolder(folder / f"seed-{t.seed}", about, lock) for t, about in zip(tasks, abouts, strict=True)]
        for place in places:
            place.prepare(resume)
        yield [Prepared(architecture, t, place) for t, place in zip(tasks, places, strict=True)]


def train_kept(
    architecture: Architecture,
    images: Split,
    task: TrainingTask,
    place: TrainingFolder,
    watcher: Watcher,
    device: str,
    start: Start = FRESH,
) -> Trained:
    """One training from where its folder has it to its end; see `train_seeds`."""
    with seeded(task.seed, device):
        network = build_network(architecture)
    start.put(network)
    with seeded(task.seed, device) as generator:
        training = Training(network, images, task, generator, device, start.teacher)
        place.restore(training)
        while not training.done:
            stopwatch, first = Clock(), training.step
            for _ in training.steps():
                watcher.step(task.seed, training)
                if watcher.stopping():
                    place.keep(training)
                    raise stopped(training, place)
            speed = (training.step - first) * min(task.batch_size, len(images.train)) / stopwatch.seconds
            training.read()
            place.keep_epoch(training, speed if training.step > first else None)
            watcher.epoch(task.seed, place.rows)
            if watcher.stopping() and not training.done:
                raise stopped(training, place)
        trained = Trained(task.seed, network, training.end())
    watcher.ended(trained)
    return trained


def stopped(training: Training, place: TrainingFolder) -> Resumable:
    """What to say of a training that was kept and left."""
    done, task = len(training.curve), training.task
    where = f"in epoch {done + 1}" if training.step_of_epoch else f"after epoch {done}"
    return Resumable(
        f"stopped {where} of {task.epochs} of seed {task.seed}; it is kept in {place.last}. "
        "Go on with the same command and --resume."
    )


def judged_on_test(trained: Sequence[Trained], train_images: Images, device: str = "cpu") -> list[Trained]:
    """Opens the test images, once, and judges every network on them.

    Raises:
        DataError: when the test part is missing or damaged.
    """
    test = load_test(train_images)
    return [replace(t, test=evaluate(t.network, test, device=device)) for t in trained]


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation; no deviation of a single value.

    Raises:
        UsageError: without values.
    """
    if not values:
        raise UsageError("there is no training to take the mean of. Give at least one seed.")
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
