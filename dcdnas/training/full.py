"""Full training of a found network with several seeds, saved on disk; the test images are used once, after all trainings."""

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
from dcdnas.data import Images, Split, load, load_sized, load_test, open_source
from dcdnas.errors import Resumable, UsageError
from dcdnas.networks import Network, build_network, class_of, for_proxy
from dcdnas.training.folder import Row, TrainingFolder, check_kept, described
from dcdnas.training.judging import check_masks
from dcdnas.training.loop import Clock, Training, evaluate, seeded
from dcdnas.training.starting import FRESH, Start

VALIDATION = 0.1
"""Share of the training images that is set aside as the validation split."""


DECODED = 2**30
"""Bytes up to which the pictures of a data set are decoded into memory; larger data sets are read from their files as needed."""


@dataclass(frozen=True)
class Trained:
    """The result of one training.

    Args:
        seed: of the initial weights, the order of the images and the augmentation.
        network: trained, in eval mode.
        score: on the validation images; its last epoch counts.
        test: values on the test images, by name; empty until the network is evaluated on them.
    """

    seed: int
    network: Network
    score: Score
    test: Mapping[str, float] = field(default_factory=dict)


def best_device() -> str:
    """Returns ``cuda`` if a GPU is available, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def images_for(architecture: Architecture, task: TrainingTask, grey_range: float | None = None) -> Images:
    """Loads a task's training images, at the network's input size if they have the network's classes and channels.

    Pictures in files are cut to squares of the network's height. They are read as needed when resized crops are taken from their
    original pixels, or when the decoded pictures would take too much memory.

    Args:
        architecture: of the network.
        task: names the data set, and says how it is read.
        grey_range: as for `dcdnas.data.load`.

    Raises:
        DataError: when the data set is missing or damaged.
    """
    channels, height, width = architecture.input
    side = task.resolution or (height if open_source(task.data).DECODES else 0)
    decoded = 0 if task.augment == "resized-crop" else DECODED
    images = load(task.data, side, task.classes, task.skip_damaged, decoded, grey_range)
    same = images.shape[0] == channels and len(images.classes) == architecture.classes
    if side or not same or images.shape == architecture.input:
        return images
    return load_sized(task.data, height, width, task.classes, task.skip_damaged, grey_range=grey_range)


def fitted(architecture: Architecture, images: Images) -> Architecture:
    """Returns the architecture unchanged if it has the images' size and classes, else adapted to them as for a proxy.

    At images of the size of its input the network keeps all strides, however small its last map is.

    Raises:
        UsageError: when the images have masks and the network has no head that scores pixels, or the other way round.
    """
    check_masks("the network", bool(architecture.head), images)
    if architecture.input == images.shape and architecture.classes == len(images.classes):
        return architecture
    adapted = for_proxy(architecture, images.shape, len(images.classes))
    if architecture.input[1:] != images.shape[1:]:
        return adapted
    cls = class_of(architecture)
    return replace(adapted, settings=cls.written(cls.complete(architecture.settings)))


class Watcher:
    """Receives the progress of trainings and decides whether to stop them; this base class ignores it and never stops them."""

    def step(self, seed: int, training: Training) -> None:
        """Called after each step of a training."""

    def epoch(self, seed: int, rows: Sequence[Row]) -> None:
        """Called after each epoch, with the rows of all epochs of the training so far."""

    def ended(self, trained: Trained) -> None:
        """Called when a training has finished, before the next seed's training begins."""

    def stopping(self) -> bool:
        """Returns whether the current training shall be saved and stopped."""
        return False


Runner = Callable[[Architecture, Split, TrainingTask, TrainingFolder, Watcher, str, Start], Trained]
"""Continues one training from the state in its folder to its end, like `train_kept`."""


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
    """Trains the network once per seed and saves each training in ``seed-N`` of a folder, after every epoch and when stopped.

    Args:
        architecture: is adapted to the images.
        images: training and validation images.
        task: the recipe; its seed is ignored.
        seeds: one for each training.
        folder: to save in; before the first training it is checked to be writable.
        watcher: is called after every step and epoch, and may stop the trainings.
        resume: whether to continue the trainings saved in the folder; else it must not contain any.
        device: to train on.
        start: initial weights, and a teacher.
        run: continues a training from the state in its folder to its end; None for `train_kept`, in this process.
        workers: number of processes that `run` uses for one training; a different number gives a different training.

    Raises:
        TrainingError: when a training cannot continue.
        Resumable: when it was stopped, or the disk is full.
        RunError: when the folder cannot be written to, another process trains in it, or it contains trainings that differ from
            these, that `resume` does not allow to continue, or whose result would be lost.
    """
    with prepared(architecture, images, task, seeds, folder, resume, start, workers) as trainings:
        run = run or train_kept
        return [run(t.architecture, images, t.task, t.place, watcher, device, start) for t in trainings]


@dataclass(frozen=True)
class Prepared:
    """A training whose folder is checked and locked by this process.

    Args:
        architecture: adapted to the images.
        task: the recipe, with this training's seed.
        place: the folder that the training is saved in.
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
    """Checks and locks the folder of a network's trainings within the block; arguments and errors are those of `train_seeds`."""
    architecture = fitted(architecture, images.train)
    tasks = [replace(task, seed=seed) for seed in seeds]
    make_folder(folder)
    with FolderLock(folder, "is being trained in by", "Wait for it, or name another folder with -o.") as lock:
        check_kept(folder, seeds, resume)
        more = start.described() | ({"workers": workers} if workers > 1 else {})
        abouts = [described(architecture, images, of_seed) | more for of_seed in tasks]
        places = [TrainingFolder(folder / f"seed-{t.seed}", about, lock) for t, about in zip(tasks, abouts, strict=True)]
        for place in places:
            place.prepare()
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
    """Continues one training from the state in its folder to its end; see `train_seeds`."""
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
    """Returns the exception for a training that was saved and stopped."""
    done, task = len(training.curve), training.task
    where = f"in epoch {done + 1}" if training.step_of_epoch else f"after epoch {done}"
    return Resumable(
        f"stopped {where} of {task.epochs} of seed {task.seed}; the training is saved in {place.last}. "
        "Continue it with the same command and --resume."
    )


def judged_on_test(trained: Sequence[Trained], train_images: Images, device: str = "cpu") -> list[Trained]:
    """Loads the test images, once, and evaluates every network on them.

    Raises:
        DataError: when the test part is missing or damaged.
    """
    test = load_test(train_images)
    return [replace(t, test=evaluate(t.network, test, device=device)) for t in trained]


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Returns the mean and the standard deviation, which is None for a single value.

    Raises:
        UsageError: when there are no values.
    """
    if not values:
        raise UsageError("there is no training to take the mean of. Give at least one seed.")
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
