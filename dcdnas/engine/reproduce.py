"""Train one network of a run again, just as it was trained, and compare what it reaches with what the run has written down."""

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
from dcdnas.errors import UsageError
from dcdnas.tasks import ASK_TELL, only_where_begun


@dataclass(frozen=True)
class Reproduction:
    """Two trainings of one network.

    Args:
        trial: as the run has it.
        score: what the network reached now.
        elsewhere: what is not as it was where the run was made, a line each: ``torch: 2.12 there, 2.13 here``.
    """

    trial: Trial
    score: Score
    elsewhere: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[EpochResult, EpochResult]]:
        """What the run has of each epoch, and what was reached now."""
        return list(zip(_readings(self.trial.score), _readings(self.score), strict=False))

    @property
    def equal(self) -> bool:
        """Whether every value of every epoch is the same to the last bit."""
        there, here = ([dict(reached.values) for reached in _readings(s)] for s in (self.trial.score, self.score))
        return there == here

    @property
    def largest(self) -> dict[str, float]:
        """The largest difference of each value over the epochs."""
        return {
            name: max(abs(here.values[name] - there.values[name]) for there, here in self.pairs) for name in self.score.values
        }


def _readings(score: Score | None) -> list[EpochResult]:
    """What a training reported, and what it ended with where it had not reported that."""
    if score is None:
        return []
    last = score.curve[-1] if score.curve else None
    if last and (last.epoch, dict(last.values)) == (score.epochs, dict(score.values)):
        return list(score.curve)
    return [*score.curve, EpochResult(score.epochs, score.values, score.seconds)]


def check_trained_here(run: str, task: TrainingTask) -> None:
    """Refuses a run whose networks this process cannot train again.

    Args:
        run: its name.
        task: that it is of.

    Raises:
        UsageError: saying why.
    """
    if task.table:
        why = "its results come from a table"
    elif task.own == ASK_TELL:
        why = "its networks are trained elsewhere, by who asks for them"
    elif only_where_begun(task.own):
        why = f"its task {task.own} was given in Python, and no other process has it"
    else:
        return
    raise UsageError(f"{run}: {why}, so that none can be trained again here. Name a run whose networks `dcdnas search` trained.")


def reproduce(folder: Path, trial: Trial, training: Train, told: Callable[[EpochResult], None] = lambda _: None) -> Reproduction:
    """Trains the network of a trial again, with its seed, in this process, for as many epochs as it was trained.

    Args:
        folder: of the run.
        trial: that has ended.
        training: how and on what to train.
        told: called after every epoch.

    Raises:
        UsageError: when the trial has no result of a training of its own, or the run's networks cannot be trained here.
    """
    config = SearchConfig.read(folder / "search.yaml")
    check_trained_here(folder.name, config.task)
    if trial.state not in ENDED or trial.score is None:
        raise UsageError(
            f"trial {trial.number} was {trial.state}, so it has no training to repeat. Name one that is finished or stopped."
        )
    task = replace(config.task, seed=trial.seed, deadline=0.0)
    epochs = trial.score.epochs

    def report(reached: EpochResult) -> bool:
        told(reached)
        return reached.epoch < epochs or epochs >= task.epochs

    score = training(Job(trial.number, trial.architecture, task, metrics=tuple(trial.cost.values)), report)
    return Reproduction(trial, score, tuple(elsewhere(folder)))


def elsewhere(folder: Path) -> list[str]:
    """What is not as it was where a run was made, a line each: versions, processor, kernels."""
    there = read_yaml(folder / "search.yaml").data
    rules = there.get("rules") or {}
    made = {**(there.get("versions") or {}), "processor": there.get("processor"), "kernels": rules.get("kernels")}
    here = {**versions(), "processor": processor(), "kernels": kernels()}
    known = {name: value for name, value in made.items() if value is not None}
    return differences(known, {name: here.get(name) for name in known})
