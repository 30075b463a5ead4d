"""Train one network of a run again, just as it was trained, and compare what it reaches with what the run has written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dcdnas.core.trial import ENDED, EpochResult, Trial
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.job import Job
from dcdnas.engine.proxy_training import ProxyTraining
from dcdnas.engine.rules import differences, kernels, processor, versions
from dcdnas.errors import UsageError


@dataclass(frozen=True)
class Reproduction:
    """Two trainings of one network.

    Args:
        trial: as the run has it.
        curve: what the network reached now, epoch by epoch.
        elsewhere: what is not as it was where the run was made, a line each: ``torch: 2.12 there, 2.13 here``.
    """

    trial: Trial
    curve: tuple[EpochResult, ...]
    elsewhere: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[EpochResult, EpochResult]]:
        """What the run has of each epoch, and what was reached now."""
        return list(zip(self.trial.score.curve if self.trial.score else (), self.curve, strict=False))

    @property
    def equal(self) -> bool:
        """Whether every value of every epoch is the same to the last bit."""
        return len(self.pairs) == len(self.curve) and all(dict(there.values) == dict(here.values) for there, here in self.pairs)

    @property
    def largest(self) -> dict[str, float]:
        """The largest difference of each value over the epochs."""
        names = self.curve[0].values if self.curve else ()
        return {name: max(abs(here.values[name] - there.values[name]) for there, here in self.pairs) for name in names}


def reproduce(
    folder: Path, trial: Trial, training: ProxyTraining, told: Callable[[EpochResult], None] = lambda _: None
) -> Reproduction:
    """Trains the network of a trial again, with its seed, in this process, for as many epochs as it was trained.

    Args:
        folder: of the run.
        trial: that has ended.
        training: how and on what to train.
        told: called after every epoch.

    Raises:
        UsageError: when the trial has no result of a training of its own.
    """
    if trial.state not in ENDED or trial.score is None:
        raise UsageError(
            f"trial {trial.number} was {trial.state}, so it has no training to repeat. Name one that is finished or stopped."
        )
    config = SearchConfig.read(folder / "search.yaml")
    task = replace(config.task, seed=trial.seed, deadline=0.0)
    curve: list[EpochResult] = []
    epochs = trial.score.epochs

    def report(reached: EpochResult) -> bool:
        curve.append(reached)
        told(reached)
        return reached.epoch < epochs or epochs >= task.epochs

    training(Job(trial.number, trial.architecture, task, metrics=tuple(trial.cost.values)), report)
    return Reproduction(trial, tuple(curve), tuple(elsewhere(folder)))


def elsewhere(folder: Path) -> list[str]:
    """What is not as it was where a run was made, a line each: versions, processor, kernels."""
    there = read_yaml(folder / "search.yaml").data
    rules = there.get("rules") or {}
    made = {**(there.get("versions") or {}), "processor": there.get("processor"), "kernels": rules.get("kernels")}
    here = {**versions(), "processor": processor(), "kernels": kernels()}
    known = {name: value for name, value in made.items() if value is not None}
    return differences(known, {name: here.get(name) for name in known})
