"""The training function of a worker: opens the task of a job, builds its network, and has it trained and judged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dcdnas.core.plugins import Plugin, offer
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.cost import verified
from dcdnas.engine.job import Job
from dcdnas.engine.weights import file_of
from dcdnas.errors import DcdnasError
from dcdnas.networks import Network, build_network
from dcdnas.tasks import Task, fitted, judged, open_task
from dcdnas.training.allocator import keep_freed_memory
from dcdnas.training.checkpoint import write_weights

Reporter = Callable[[EpochResult], bool]
"""Callback that gets the report of an epoch and returns whether to continue."""

Train = Callable[[Job, Reporter], Score]
"""Runs a job to its end."""


LEAST = 0.001
"""Lower bound on the deadline of a stage in seconds, because 0 means no deadline."""


@dataclass(frozen=True)
class ProxyTraining:
    """Trains a job's network on its proxy task; the same job gives the same score on machines of the same kind.

    Args:
        device: device to train on, ``cpu`` or ``cuda``.
        threads: number of torch threads in this process; 0 leaves it unchanged.
        plugins: plugins with entries from outside the package; each is loaded when the training needs its entry.
        weights: folder for the weights of finished trainings, if it exists on this machine; None to save none.
        task: task object passed from Python; None for the task that each job names.
    """

    device: str = "cpu"
    threads: int = 1
    plugins: tuple[Plugin, ...] = ()
    weights: Path | None = None
    task: Task | None = None

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Checks that the network's measured cost equals its price, then trains it; raises the errors of both."""
        network, score = self.trained(job, report)
        if self.weights is not None and self.weights.is_dir() and score.epochs == job.task.epochs:
            with suppress(DcdnasError):  # a full disk must not cost the result too
                write_weights(network, self.weights / file_of(job))
        return score

    def trained(
        self, job: Job, report: Reporter = lambda _: True, begin: Callable[[Network], object] = lambda _: None
    ) -> tuple[Network, Score]:
        """Trains as `__call__` does, but returns the network as well and writes no weights.

        Args:
            job: the network and its training task.
            report: called after every epoch; returns whether to continue.
            begin: called with the network before each stage of the training.
        """
        if self.threads:
            torch.set_num_threads(self.threads)
        if self.device == "cpu":
            keep_freed_memory()
        offer(self.plugins)
        if not job.confirm:
            verified(job.architecture, job.metrics)
        task = open_task(job.task, self.task)
        with torch.random.fork_rng(devices=[]):
            stages = Stages(job.task, report)
            while True:
                torch.manual_seed(job.task.seed)
                network = build_network(fitted(task, job.architecture, job.task)).to(self.device)
                begin(network)
                stages.ended(judged(task, network, stages.task, stages.report))
                if stages.done:
                    return network, stages.score


class Stages:
    """Reports the successive trainings of a recipe as a single one, with epochs and seconds numbered consecutively.

    Args:
        recipe: training task with the stages.
        report: called after every epoch; returns whether to continue.
    """

    def __init__(self, recipe: TrainingTask, report: Reporter) -> None:
        self._left, self._report = list(recipe.stages), report
        self._curve: tuple[EpochResult, ...] = ()
        self._going = True
        self._scores: list[Score] = []

    @property
    def task(self) -> TrainingTask:
        """The current stage, with the remaining part of the recipe's deadline."""
        stage = self._left[0]
        return replace(stage, deadline=max(stage.deadline - self._seconds, LEAST)) if stage.deadline else stage

    @property
    def done(self) -> bool:
        """Whether no further stage follows."""
        return not self._left or not self._going

    @property
    def score(self) -> Score:
        """Score of the whole training: the values of the last stage, the epochs, seconds and curve of all."""
        last = self._scores[-1]
        return Score(last.values, self._epochs, self._seconds, self._curve)

    @property
    def _epochs(self) -> int:
        return sum(score.epochs for score in self._scores)

    @property
    def _seconds(self) -> float:
        return sum(score.seconds for score in self._scores)

    def report(self, reached: EpochResult) -> bool:
        """Passes on a report of the current stage; returns whether to continue."""
        reached = EpochResult(self._epochs + reached.epoch, reached.values, self._seconds + reached.seconds)
        self._curve = (*self._curve, reached)
        self._going = self._report(reached)
        return self._going

    def ended(self, score: Score) -> None:
        """Ends the current stage. Its score serves as the report of its last epoch, at which a search compares networks, if the
        task did not report that epoch and another stage follows.
        """
        self._left.pop(0)
        reported = self._curve[-1].epoch if self._curve else 0
        if self._left and self._going and reported < self._epochs + score.epochs:
            self.report(EpochResult(score.epochs, score.values, score.seconds))
        self._scores.append(score)
