"""What a task is to a search: the objectives that it is judged by, and a function that trains a network and judges it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dcdnas.core.objective import Objective

if TYPE_CHECKING:
    from torch import nn

Report = Callable[[int, Mapping[str, float]], bool]
"""Takes the epochs done so far, from 1, and the value of every objective; returns whether the training goes on."""


class Task(ABC):
    """Base of the tasks. A class with the same attributes is one without being derived from it.

    A task is made without arguments, once in each process that trains.
    """

    objectives: tuple[Objective, ...]
    """What a network is judged by, the first one first: it says which network is best."""

    input: tuple[int, int, int] | None = None
    """(C, H, W) of what networks are trained on; None trains them at the size that they are priced at."""

    outputs: int | None = None
    """Outputs of the networks, in place of a classifier's classes; None for as many as the space says."""

    @abstractmethod
    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        """Trains a network and judges it.

        Args:
            network: (N, C, H, W) to (N, outputs), with fresh weights drawn with `seed`, on the device to train on; trained in
                place.
            epochs: how long to train.
            seed: of everything that is drawn; the same one has to give the same values.
            report: to be told after each epoch; when it returns False the training is to end, with the values so far.

        Returns:
            The value of every objective by its name.
        """

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        alike = any({"evaluate", "objectives"} & vars(base).keys() for base in other.__mro__)
        return (cls is Task and alike) or NotImplemented


class Alike(Task):
    """A task that is not derived from `Task`, with what it left out."""

    def __init__(self, given: Any) -> None:
        self.given, self.objectives = given, tuple(given.objectives)
        self.input, self.outputs = getattr(given, "input", None), getattr(given, "outputs", None)

    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        """See `Task.evaluate`."""
        values: Mapping[str, float] = self.given.evaluate(network, epochs=epochs, seed=seed, report=report)
        return values


def whole(task: Any) -> Task:
    """A task with all attributes of one."""
    return task if Task in type(task).__mro__ else Alike(task)
