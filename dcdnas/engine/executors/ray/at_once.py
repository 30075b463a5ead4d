"""Several trainings at once, each a trial of Ray Tune that goes on from its folder when its worker dies."""

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
    """A training that nobody else does.

    Args:
        name: of its network, for messages.
        found: the network as it was found, before it is fitted to the images.
        task: the recipe, which names the images and the seed.
        place: where it is kept.
        device: ``cpu`` or ``cuda``.
        start: weights to begin with, and a teacher.
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
    """Takes all trainings from where their folders have them to their ends.

    Args:
        trials: the trainings, whose folders are held by this process.
        jobs: at one time, each with a core, or a GPU where there are GPUs.
        log: file that takes what Ray says.
        said: is told a training and its epochs after each of them.
        stopping: whether all shall be kept and left.
        address: of a Ray cluster, which sees the folders; empty starts one on this machine.

    Raises:
        UsageError: when Ray cannot be imported or started.
        TrainingError: when a training cannot go on; the others have ended.
        Resumable: when they were stopped.
    """
    set_environment()
    try:
        from dcdnas.engine.executors.ray._at_once import run_trials  # takes seconds: only those who use Ray wait
    except ImportError as error:
        raise UsageError(f"Ray cannot be imported: {described(error)}. Leave --jobs out to train one after the other.") from None
    run_trials(trials, jobs, log, said, stopping, address)
