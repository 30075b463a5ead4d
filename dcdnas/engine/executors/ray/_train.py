"""Runs one training under Ray Train and follows it by the files that the first worker writes into its folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import torch
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchTrainer

from dcdnas.core.architecture import Architecture
from dcdnas.core.files import write_whole
from dcdnas.core.plugins import Plugin, loaded, offer
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.ray._cluster import cluster, followed, logged, own_handlers
from dcdnas.engine.job import described
from dcdnas.errors import DcdnasError, Resumable, TrainingError
from dcdnas.training.folder import EPOCHS, LAST, TrainingFolder, rows_in
from dcdnas.training.starting import Start
from dcdnas.training.together import train_together

if TYPE_CHECKING:
    from dcdnas.engine.executors.ray.together import Workers
    from dcdnas.training.full import Watcher

STOP, FAILED, RAY = "stop", "failed.txt", ".ray"
"""File names in the training's folder: the request to stop, the reason why it cannot continue, and Ray's own folder."""

RESTARTS = 3
"""Number of times that the workers are restarted after one died."""


@dataclass(frozen=True)
class Shared:
    """Arguments that all workers of a training share.

    Args:
        architecture: architecture adapted to the images.
        images: training and validation images.
        task: the recipe.
        folder: folder of the training, which all workers can access.
        about: description of the training that its folder keeps.
        device: ``cpu`` or ``cuda``.
        start: initial weights, and a teacher for distillation.
    """

    architecture: Architecture
    images: Split
    task: TrainingTask
    folder: Path
    about: Mapping[str, Any]
    device: str
    start: Start


def run_workers(shared: Shared, workers: Workers, watcher: Watcher) -> None:
    """Trains until the folder holds the finished training.

    Raises:
        TrainingError: when the training cannot continue, or workers died repeatedly.
        Resumable: when it was stopped.
    """
    for name in (STOP, FAILED):
        (shared.folder / name).unlink(missing_ok=True)
    execution = Execution(jobs=workers.count, address=workers.address)
    with logged(workers.log), cluster(execution):
        trainer = TorchTrainer(
            worker,
            train_loop_config={"shared": ray.put(shared), "plugins": loaded()},
            scaling_config=ScalingConfig(num_workers=workers.count, use_gpu=shared.device == "cuda"),
            run_config=RunConfig(
                name="training",
                storage_path=str((shared.folder / RAY).absolute()),
                failure_config=FailureConfig(max_failures=RESTARTS),
            ),
        )
        try:
            with own_handlers():
                _follow(trainer, shared, watcher)
        finally:
            shutil.rmtree(shared.folder / RAY, ignore_errors=True)
    failed = shared.folder / FAILED
    if failed.exists():
        raise TrainingError(failed.read_text(encoding="utf-8"))


def _follow(trainer: TorchTrainer, shared: Shared, watcher: Watcher) -> None:
    """Waits for the end, passes each epoch to the watcher, and asks the workers to stop when the watcher requests it."""
    said = 0

    def look() -> None:
        nonlocal said
        rows = rows_in(shared.folder / EPOCHS)
        if len(rows) > said:
            said = len(rows)
            watcher.epoch(shared.task.seed, rows)
        if watcher.stopping():
            (shared.folder / STOP).touch()

    error = followed(trainer.fit, look)
    stopped = (shared.folder / STOP).exists()
    (shared.folder / STOP).unlink(missing_ok=True)
    if error and not isinstance(error, RayError | RuntimeError):
        raise error
    if error:
        raise TrainingError(
            f"Ray Train gave up: {described(error)}. What was saved is in {shared.folder}; continue it with --resume."
        )
    if stopped and len(rows_in(shared.folder / EPOCHS)) < shared.task.epochs:
        raise Resumable(
            f"stopped seed {shared.task.seed}; the training is saved in {shared.folder / LAST} as after its last whole epoch. "
            "Continue it with the same command and --resume."
        )


def worker(config: dict[str, Any]) -> None:
    """Runs in each of Ray Train's workers, which are connected to each other, and trains this worker's part of every batch."""
    plugins: tuple[Plugin, ...] = config["plugins"]
    offer(plugins)
    shared: Shared = ray.get(config["shared"])
    device = f"cuda:{torch.cuda.current_device()}" if shared.device == "cuda" else "cpu"
    first = get_context().get_world_rank() == 0
    torch.set_num_threads(1)
    failed = shared.folder / FAILED
    if failed.exists():  # a worker wrote it, and Ray has started all of them again
        return
    try:
        train_together(
            shared.architecture,
            shared.images,
            shared.task,
            TrainingFolder(shared.folder, shared.about),
            device,
            shared.start,
            (shared.folder / STOP).exists,
        )
    except TrainingError as error:  # all workers raise one, so that none waits for another
        if first:
            write_whole(failed, str(error))
    except DcdnasError as error:
        write_whole(failed, str(error))
        raise  # the others would wait for this worker; now Ray ends them
