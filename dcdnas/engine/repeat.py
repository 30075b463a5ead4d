"""Repeats the training of a trial as in its search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dcdnas.core.dynamics import Reading
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Score, Trial
from dcdnas.data import Images, Split, at_size
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import Job
from dcdnas.engine.proxy_training import ProxyTraining, Reporter
from dcdnas.errors import UsageError
from dcdnas.networks import Network
from dcdnas.tasks import ASK_TELL
from dcdnas.tasks.classification import images_of
from dcdnas.training.following import Follower


@dataclass(frozen=True)
class Repeated:
    """Result of a repeated training.

    Args:
        network: the trained network, on the CPU and in eval mode.
        score: score of the repeated training.
        validation: the images on which it was judged.
        readings: readings of its attentions during the training.
    """

    network: Network
    score: Score
    validation: Images
    readings: tuple[Reading, ...]


def task_of(folder: Path, trial: Trial) -> TrainingTask:
    """The training task of a trial: the run's task with the trial's seed and without a deadline.

    Args:
        folder: folder of the run.
        trial: trial of the run.

    Raises:
        RunError: when the run's ``search.yaml`` is missing or damaged.
        UsageError: when the task is a user's own, whose images dcdnas does not know, or the results were looked up in a table.
    """
    task = SearchConfig.read(folder / "search.yaml").task
    if task.table:
        raise UsageError(
            f"{folder.resolve().name}: its results come from a table, so no training can be repeated. Give images with -d, and "
            "trained weights with --weights."
        )
    if task.own:
        whose = "your own program, which trains with ask-tell" if task.own == ASK_TELL else f"the task {task.own}"
        raise UsageError(f"dcdnas cannot read the images of {whose}. Give images with -d, and trained weights with --weights.")
    return replace(task, seed=trial.seed, deadline=0.0)


def repeat_training(trial: Trial, task: TrainingTask, report: Reporter, device: str = "cpu") -> Repeated:
    """Retrains a trial's network with the same seed, images and recipe; on a CPU this gives the same weights.

    Args:
        trial: trial whose network is trained, for as many epochs as in the search.
        task: the training task, see `task_of`.
        report: called after every epoch; returns whether to continue.
        device: device to train on.

    Raises:
        DataError: when the images no longer exist.
        TrainingError: when the training cannot continue.
    """
    enough = trial.score.epochs if trial.score else task.epochs
    job = Job(trial.number, trial.architecture, task, confirm=True)
    followers: list[Follower] = []

    def begin(network: Network) -> None:
        images = Split(*(at_size(part, *network.architecture.input[1:]) for part in images_of(task)))
        followers.append(Follower(network, images, task))

    network, score = ProxyTraining(device).trained(job, lambda result: report(result) and result.epoch < enough, begin)
    readings = tuple(followers[-1].end())
    return Repeated(network.to("cpu").eval(), score, images_of(task).validation, readings)
