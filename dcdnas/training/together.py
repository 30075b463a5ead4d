"""The part of each process when several processes train one network together."""

from __future__ import annotations

from collections.abc import Callable

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split
from dcdnas.networks import build_network
from dcdnas.training.folder import TrainingFolder
from dcdnas.training.group import Processes
from dcdnas.training.loop import Clock, Training, seeded
from dcdnas.training.starting import Start


def train_together(
    architecture: Architecture,
    images: Split,
    task: TrainingTask,
    place: TrainingFolder,
    device: str,
    start: Start,
    asked: Callable[[], bool],
) -> None:
    """Trains this process's part of every batch, from the state in the folder to the end of the training or until a stop.

    Args:
        architecture: adapted to the images.
        images: the same in all processes.
        task: the recipe.
        place: folder that all processes restore the training from; the first process saves it there after every epoch.
        device: of this process.
        start: initial weights, and a teacher.
        asked: returns whether the training shall stop.

    Raises:
        TrainingError: when the training cannot continue.
        RunError: when the folder cannot be written to.
    """
    with seeded(task.seed, device):
        network = build_network(architecture)
    start.put(network)
    with seeded(task.seed, device) as generator:
        group = Processes(asked)
        training = Training(network, images, task, generator, device, start.teacher, group)
        place.restore(training)
        while not training.done:
            stopwatch, first = Clock(), training.step
            for _ in training.steps():
                if group.stopped:
                    return
            speed = (training.step - first) * min(task.batch_size, len(images.train)) / stopwatch.seconds
            training.read()
            if group.rank == 0:
                place.keep_epoch(training, speed)
