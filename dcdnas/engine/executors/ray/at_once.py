"""Runs several trainings in parallel, each as a trial of Ray Tune that resumes from its folder when its worker dies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.engine.executors.ray import set_environment
from dcdnas.engine.job import described
from dcdnas.errors import UsageError
from dcdnas.training.folder import Row, TrainingFolder
from dcdnas.training.starting import Start


@dataclass(frozen=True)
class Trial:
    """One of several parallel trainings, each of which runs in a single worker.

    Args:
        name: name of its network, for messages.
        found: the architecture as it was found, before it is adapted to the images.
        task: the recipe, which names the images and the seed.
        place: folder in which the training is kept.
        device: ``cpu`` or ``cuda``.
        start: initial weights, and a teacher for distillation.
    """

    name: str
    found: Architecture
    task: TrainingTask
    place: TrainingFolder
    device: str
    start: Start


def train_at_once(
    trials: Sequence[Trial],
    jobs: int,
    log: Path,
    said: Callable[[Trial, Sequence[Row]], None],
    stopping: Callable[[], bool],
    address: str = "",
) -> None:
    """Resumes all trainings from their folders and runs them to their ends.

    Args:
        trials: the trainings, whose folders this process has locked.
        jobs: number of parallel trainings, each with one core, or one GPU where there are GPUs.
        log: file to which Ray's messages are written.
        said: callback that gets a training and its epochs so far, after each epoch.
        stopping: returns whether all trainings are to be saved and stopped.
        address: address of a Ray cluster that can access the folders; empty starts one on this machine.

    Raises:
        UsageError: when Ray cannot be imported or started.
        TrainingError: when a training cannot continue; the others have ended.
        Resumable: when the trainings were stopped.
    """
    set_environment()
    try:
        from dcdnas.engine.executors.ray._at_once import run_trials  # takes seconds, so it is imported only when Ray is used
    except ImportError as error:
        raise UsageError(f"Ray cannot be imported: {described(error)}. Leave --jobs out to train one after the other.") from None
    run_trials(trials, jobs, log, said, stopping, address)
