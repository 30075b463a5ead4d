"""Runs one training of a task: adapts the architecture, checks every report, and makes the score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.errors import Diverged, TaskError, TrainingTimeout
from dcdnas.tasks._base import Task

if TYPE_CHECKING:
    from torch import nn


def fitted(task: Task, architecture: Architecture, recipe: TrainingTask) -> Architecture:
    """Adapts an architecture to a task: to its input size and number of outputs, where it specifies them.

    Args:
        task: the task that the network is trained for.
        architecture: the architecture at deployment.
        recipe: the recipe of the training.
    """
    from dcdnas.networks import for_proxy  # imported here, because reading a run must not need torch

    outputs = task.outputs or architecture.classes
    if task.input is None:
        return replace(architecture, classes=outputs)
    channels, height, width = task.input
    return for_proxy(architecture, (channels, height, width), outputs, recipe.deployed_side)


def judged(task: Task, network: nn.Module, recipe: TrainingTask, report: Callable[[EpochResult], bool]) -> Score:
    """Trains a network for a task, and checks that the task keeps its contract.

    Args:
        task: the task that the network is trained for.
        network: the network, on the device to train on.
        recipe: recipe with epochs, seed and deadline.
        report: called after every epoch; returns whether to continue.

    Raises:
        TaskError: when the task reports values other than its objectives, or an impossible number of epochs.
        Diverged: when a value is infinite or NaN.
        TrainingTimeout: when `recipe.deadline` has passed.
    """
    reports = _Reports(task, recipe, report)
    values = reports.checked(task.evaluate(network, epochs=recipe.epochs, seed=recipe.seed, report=reports), "evaluate returned")
    return Score(values, reports.done, reports.seconds, tuple(reports.curve))


class _Reports:
    """Checks and collects the reports of one training."""

    def __init__(self, task: Task, recipe: TrainingTask, report: Callable[[EpochResult], bool]) -> None:
        self.names = [o.name for o in task.objectives]
        self.recipe, self.report = recipe, report
        self.curve: list[EpochResult] = []
        self.going = True
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the training began."""
        return time.monotonic() - self._since

    @property
    def done(self) -> int:
        """Number of completed epochs: all, unless the training was told to stop."""
        return self.recipe.epochs if self.going or not self.curve else self.curve[-1].epoch

    def __call__(self, epoch: int, values: Mapping[str, float]) -> bool:
        """See `dcdnas.tasks.Report`."""
        if not self.going:
            return False
        last = self.curve[-1].epoch if self.curve else 0
        if not last < epoch <= self.recipe.epochs:
            raise TaskError(f"the task reported epoch {epoch!r} after {last}. Allowed: increasing, at most {self.recipe.epochs}.")
        reached = EpochResult(int(epoch), self.checked(values, f"epoch {epoch}: the task reported"), self.seconds)
        if 0 < self.recipe.deadline < self.seconds:
            raise TrainingTimeout(f"epoch {epoch}: past the deadline of {self.recipe.deadline:.0f} s.")
        self.curve.append(reached)
        self.going = self.report(reached)
        return self.going

    def checked(self, values: Any, what: str) -> dict[str, float]:
        """Checks reported values and returns them in the order of the objectives."""
        wanted = f"Allowed: a number for each of {', '.join(self.names)}, and nothing else"
        if not isinstance(values, Mapping):
            raise TaskError(f"{what} {'nothing' if values is None else f'a {type(values).__name__}'}. {wanted}.")
        if set(values) != set(self.names):
            raise TaskError(f"{what} {', '.join(map(str, values)) or 'an empty mapping'}. {wanted}.")
        try:
            found = {name: float(values[name]) for name in self.names}
        except (TypeError, ValueError) as error:
            raise TaskError(f"{what} a value that is no number: {error}. {wanted}.") from None
        wrong = next((name for name, value in found.items() if not math.isfinite(value)), "")
        if wrong:
            raise Diverged(f"{what} that {wrong} is {found[wrong]}.")
        return found
