"""The contract of a task, checked by short trainings of a small network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from dcdnas.core.architecture import Architecture
from dcdnas.core.plugins import require, rules_of
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.networks import build_network
from dcdnas.tasks import Task, fitted, judged, whole
from dcdnas.testing.rules import kept

SMALL = Architecture(
    "mobilenetv2",
    {
        "channels": (8, 16),
        "strides": (1, 2),
        "depth": 1,
        "expansion": 2,
        "stem_channels": 8,
        "head_channels": 32,
        "stem_stride": 2,
    },
    {},
    (1, 28, 28),
    10,
)
"""The network that is trained unless another is given, adapted to the task's input size and outputs."""


def check_task(task: Any, architecture: Architecture | None = None, epochs: int = 2) -> None:
    """Checks a task by the rules that a search relies on; it trains a network four times.

    Args:
        task: the class, or an object of it.
        architecture: whose network is trained; a small one when left out.
        epochs: of each training, at least 2.

    Raises:
        ContractError: at the first broken rule, with what was found.
    """
    what = task.__name__ if inspect.isclass(task) else type(task).__name__
    kept(f"{what}: the rules of a task", partial(rules_of("task"), "", task))
    made = whole(task() if inspect.isclass(task) else task)
    for rule, check in RULES.items():
        kept(f"{what}: {rule}", partial(check, made, architecture or SMALL, epochs))


def reports_its_objectives(task: Task, architecture: Architecture, epochs: int) -> None:
    """A training reports increasing epochs and returns a finite value of every objective, and of nothing else."""
    _trained(task, architecture, epochs)


def gives_the_same_again(task: Task, architecture: Architecture, epochs: int) -> None:
    """The same seed gives the same values."""
    first, second = (dict(_trained(task, architecture, epochs).values) for _ in range(2))
    require(first == second, f"seed 0 gave {first}, then {second}")


def ends_when_told(task: Task, architecture: Architecture, epochs: int) -> None:
    """A training that report() tells to end returns the values that it has just reported."""
    told: list[EpochResult] = []

    def end(reached: EpochResult) -> bool:
        told.append(reached)
        return False

    score = _trained(task, architecture, epochs, end)
    if told:  # a task need not report
        require(score.values == told[0].values, f"it returned {dict(score.values)} after reporting {dict(told[0].values)}")


def _trained(
    task: Task, architecture: Architecture, epochs: int, report: Callable[[EpochResult], bool] = lambda reached: True
) -> Score:
    recipe = TrainingTask(epochs=epochs, seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(fitted(task, architecture, recipe))
        return judged(task, network, recipe, report)


RULES: Mapping[str, Callable[[Task, Architecture, int], None]] = {
    (check.__doc__ or "").rstrip("."): check for check in (reports_its_objectives, gives_the_same_again, ends_when_told)
}
"""The checks, by their rules in words."""
