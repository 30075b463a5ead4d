"""What a worker does with one job: open the task, build the network for it, have it trained and judged."""

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
"""Takes one epoch's report, returns whether to go on."""

Train = Callable[[Job, Reporter], Score]
"""Runs a job to its end."""


LEAST = 0.001
"""Seconds that a stage has at least; a deadline of 0 is none."""


@dataclass(frozen=True)
class ProxyTraining:
    """Trains a job's network on its proxy task; the same job gives the same score on one kind of machine.

    Args:
        device: to train on, ``cpu`` or ``cuda``.
        threads: of torch in this process; 0 leaves them as they are.
        plugins: files with entries from outside the package; each is run when the training asks for its entry.
        weights: folder that takes the weights of trainings that finished, where this machine has it; None for nowhere.
        task: that was given in Python; None for the one that each job names.
    """

    device: str = "cpu"
    threads: int = 1
    plugins: tuple[Plugin, ...] = ()
    weights: Path | None = None
    task: Task | None = None

    def __call__(self, job: Job, report: Reporter) -> Score:
        """Trains, once the network has measured what it was priced at; raises what either raises."""
        network, score = self.trained(job, report)
        if self.weights is not None and self.weights.is_dir() and score.epochs == job.task.epochs:
            with suppress(DcdnasError):  # a full disk must not cost the result too
                write_weights(network, self.weights / file_of(job))
        return score

    def trained(
        self, job: Job, report: Reporter = lambda _: True, begin: Callable[[Network], object] = lambda _: None
    ) -> tuple[Network, Score]:
        """As a call, with the network itself.

        Args:
            job: which network, and how it is trained.
            report: told every epoch; returns whether to go on.
            begin: takes the network before it is trained.
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
    """The trainings that a recipe consists of, one after the other, reported as one: the epochs of all are counted through.

    Args:
        recipe: whose stages they are.
        report: told every epoch; returns whether to go on.
    """

    def __init__(self, recipe: TrainingTask, report: Reporter) -> None:
        self._left, self._report = list(recipe.stages), report
        self._curve: tuple[EpochResult, ...] = ()
        self._going = True
        self._scores: list[Score] = []

    @property
    def task(self) -> TrainingTask:
        """The stage under way, with what is left of the recipe's deadline."""
        stage = self._left[0]
        return replace(stage, deadline=max(stage.deadline - self._seconds, LEAST)) if stage.deadline else stage

    @property
    def done(self) -> bool:
        """Whether no other stage comes."""
        return not self._left or not self._going

    @property
    def score(self) -> Score:
        """Of all of them: how the last one ended."""
        last = self._scores[-1]
        return Score(last.values, self._epochs, self._seconds, self._curve)

    @property
    def _epochs(self) -> int:
        return sum(score.epochs for score in self._scores)

    @property
    def _seconds(self) -> float:
        return sum(score.seconds for score in self._scores)

    def report(self, reached: EpochResult) -> bool:
        """Takes a report of the stage under way; returns whether to go on."""
        reached = EpochResult(self._epochs + reached.epoch, reached.values, self._seconds + reached.seconds)
        self._curve = (*self._curve, reached)
        self._going = self._report(reached)
        return self._going

    def ended(self, score: Score) -> None:
        """Takes the end of the stage under way; where a task reports nothing, and another stage comes, that is the report."""
        before = self._epochs
        self._left.pop(0)
        if self._left and not any(reached.epoch > before for reached in self._curve):
            self.report(EpochResult(score.epochs, score.values, score.seconds))
        self._scores.append(score)
