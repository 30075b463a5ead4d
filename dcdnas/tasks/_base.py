"""Interface of tasks: the objectives, and a function that trains and evaluates a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dcdnas.core.objective import Objective

if TYPE_CHECKING:
    from torch import nn

Report = Callable[[int, Mapping[str, float]], bool]
"""Callback that takes the number of completed epochs, from 1, and the value of every objective; returns whether to continue."""


class Task(ABC):
    """Base class of tasks. A class with the same attributes is accepted as a task without being derived from it.

    A task is instantiated without arguments, once in each process that trains.
    """

    objectives: tuple[Objective, ...]
    """Objectives that a network is evaluated by; the first one decides which network is best."""

    input: tuple[int, int, int] | None = None
    """(C, H, W) of the inputs that networks are trained on; None trains them at the size at which they are priced."""

    outputs: int | None = None
    """Number of outputs of the networks, in place of a classifier's classes; None for the number that the space specifies."""

    @abstractmethod
    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        """Trains a network and evaluates it.

        Args:
            network: maps (N, C, H, W) to (N, outputs), initialised with `seed`, on the device to train on; trained in place.
            epochs: number of epochs to train.
            seed: seed of all random numbers; the same seed has to give the same values.
            report: to be called after each epoch; when it returns False, training has to stop and return the values so far.

        Returns:
            The value of every objective, by name.
        """

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        alike = any({"evaluate", "objectives"} & vars(base).keys() for base in other.__mro__)
        return (cls is Task and alike) or NotImplemented


class Alike(Task):
    """Wraps a task that is not derived from `Task`, and adds defaults for the attributes that it lacks."""

    def __init__(self, given: Any) -> None:
        self.given, self.objectives = given, tuple(given.objectives)
        self.input, self.outputs = getattr(given, "input", None), getattr(given, "outputs", None)

    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        """See `Task.evaluate`."""
        values: Mapping[str, float] = self.given.evaluate(network, epochs=epochs, seed=seed, report=report)
        return values


def whole(task: Any) -> Task:
    """Returns a task with all attributes of `Task`, wrapped in `Alike` if it is not derived from `Task`."""
    return task if Task in type(task).__mro__ else Alike(task)
