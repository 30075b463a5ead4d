"""Repeats the training of one network of a run and compares its readings with those that the run has stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import ENDED, EpochResult, Score, Trial
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import Job
from dcdnas.engine.proxy_training import Train
from dcdnas.engine.rules import differences, kernels, processor, versions
from dcdnas.engine.same_images import other_images_of
from dcdnas.errors import UsageError
from dcdnas.tasks import ASK_TELL, only_where_begun


@dataclass(frozen=True)
class Reproduction:
    """The original and the repeated training of a network.

    Args:
        trial: the trial as stored in the run.
        score: score of the repeated training.
        elsewhere: differences to the images of the run and the environment in which it was made, one line each:
            ``torch: 2.12 there, 2.13 here``.
    """

    trial: Trial
    score: Score
    elsewhere: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[EpochResult, EpochResult]]:
        """The stored and the repeated reading of each epoch."""
        return list(zip(_readings(self.trial.score), _readings(self.score), strict=False))

    @property
    def equal(self) -> bool:
        """Whether every value of every epoch is identical to the last bit."""
        there, here = ([dict(reached.values) for reached in _readings(s)] for s in (self.trial.score, self.score))
        return there == here

    @property
    def largest(self) -> dict[str, float]:
        """The largest absolute difference of each value over all epochs."""
        return {
            name: max(abs(here.values[name] - there.values[name]) for there, here in self.pairs) for name in self.score.values
        }


def _readings(score: Score | None) -> list[EpochResult]:
    """The reports of a training, and its final score if that was not reported."""
    if score is None:
        return []
    last = score.curve[-1] if score.curve else None
    if last and (last.epoch, dict(last.values)) == (score.epochs, dict(score.values)):
        return list(score.curve)
    return [*score.curve, EpochResult(score.epochs, score.values, score.seconds)]


def check_trained_here(run: str, task: TrainingTask) -> None:
    """Checks that this process can retrain the networks of a run.

    Args:
        run: name of the run.
        task: training task of the run.

    Raises:
        UsageError: when it cannot; the message says why.
    """
    if task.table:
        why = "its results come from a table"
    elif task.own == ASK_TELL:
        why = "its networks are trained by your own program, which asks for them"
    elif only_where_begun(task.own):
        why = f"its task {task.own} was given in Python, and other processes do not have it"
    else:
        return
    raise UsageError(f"{run}: {why}, so no network can be retrained here. Name a run whose networks `dcdnas search` trained.")


def task_to_repeat(folder: Path, trial: Trial) -> TrainingTask:
    """Returns the training task of a trial, which this process can train again.

    Args:
        folder: folder of the run.
        trial: a trial that finished or was stopped early.

    Raises:
        UsageError: when the trial was not trained, or the run's networks cannot be trained here.
    """
    config = SearchConfig.read(folder / "search.yaml")
    check_trained_here(folder.name, config.task)
    if trial.state not in ENDED or trial.score is None:
        raise UsageError(
            f"trial {trial.number} was {trial.state}, so it has no training to repeat. Name one that is finished or stopped."
        )
    return replace(config.task, seed=trial.seed, deadline=0.0)


def reproduce(folder: Path, trial: Trial, training: Train, told: Callable[[EpochResult], None] = lambda _: None) -> Reproduction:
    """Retrains the network of a trial in this process, with the same seed and for as many epochs.

    Args:
        folder: folder of the run.
        trial: a trial that finished or was stopped early.
        training: training function, which determines the device.
        told: called after every epoch.

    Raises:
        UsageError: as `task_to_repeat` does.
    """
    task = task_to_repeat(folder, trial)
    epochs = trial.score.epochs if trial.score else task.epochs

    def report(reached: EpochResult) -> bool:
        told(reached)
        return reached.epoch < epochs or epochs >= task.epochs

    score = training(Job(trial.number, trial.architecture, task, metrics=tuple(trial.cost.values)), report)
    return Reproduction(trial, score, (*other_images_of(folder, task), *elsewhere(folder)))


def elsewhere(folder: Path) -> list[str]:
    """Differences to the environment in which a run was made (versions, processor, kernels), one line each."""
    there = read_yaml(folder / "search.yaml").data
    rules = there.get("rules") or {}
    made = {**(there.get("versions") or {}), "processor": there.get("processor"), "kernels": rules.get("kernels")}
    here = {**versions(), "processor": processor(), "kernels": kernels()}
    known = {name: value for name, value in made.items() if value is not None}
    return differences(known, {name: here.get(name) for name in known})
