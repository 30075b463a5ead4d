"""What a cost metric is: its notation, a function of a module, and how a network's value comes from its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.budget import named
from dcdnas.core.catalogue import Catalogue
from dcdnas.core.units import Notation, Notations, register
from dcdnas.networks import Slot


@dataclass(frozen=True)
class Metric:
    """A number that a network costs at deployment.

    The value of a network is the sum over its slots, unless `of_network` says what it is.

    Args:
        notation: how its values are named, written and read.
        unit: the base unit in words.
        measure: (module in eval mode, shape of one input without the batch) -> value, at batch 1.
        of_slot: the same value for one slot without running anything; None where that needs a measurement.
        of_network: the value of a network that need not be built, where it is no sum over the slots.
        peaks: for a maximum: numbers whose greatest is the value of the network. They tell apart networks of the same value,
            of which one may be nearer to a smaller value than the other.
        floor: for a value that is no sum: what every network has at least that has this choice in this slot.
        exact: whether a price is what `measure` would find. A prediction is not, and is compared with no measurement.
    """

    notation: Notation
    unit: str
    measure: Callable[[nn.Module, tuple[int, ...]], float]
    of_slot: Callable[[Slot, LayerChoice], float | None] = lambda slot, choice: None
    of_network: Callable[[Architecture], float] | None = None
    peaks: Callable[[Architecture], Sequence[float]] | None = None
    floor: Callable[[Slot, LayerChoice], float] | None = None
    exact: bool = True

    @property
    def name(self) -> str:
        """As in a budget, e.g. ``flops``."""
        return self.notation.metric

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of arrays of its values: whole numbers are added up exactly."""
        return np.dtype(np.int64 if self.notation.number == "int" else np.float64)

    @property
    def additive(self) -> bool:
        """Whether a network's value is the sum over its slots, so that a table can price it."""
        return self.of_network is None


class Metrics(Catalogue[Metric]):
    """The cost metrics by name; the values of each are written in its own notation."""

    def __init__(self) -> None:
        super().__init__("cost", "cost metric", listed="metrics")

    def add(self, name: str, entry: Metric, module: ModuleType | None = None) -> None:
        """Adds a metric from outside the folder, for as long as this process lives; see `Catalogue.add`."""
        super().add(name, entry, module)
        register(entry.notation)


metrics = Metrics()


def notations(budgets: Iterable[str] = ()) -> Notations:
    """How each metric is named, written and read.

    Args:
        budgets: as a person writes them; a metric that they name and an installed package offers is imported.
    """
    for name in {named(text) for text in budgets} & {*metrics.offered}:
        metrics[name]
    return {name: metric.notation for name, metric in metrics.items()}


def additive_metrics() -> tuple[str, ...]:
    """Names of the metrics that layers have each for itself, and that are no predictions."""
    return tuple(name for name, metric in metrics.items() if metric.additive and metric.exact)


def exact_metrics() -> tuple[str, ...]:
    """Names of the metrics whose price is no prediction."""
    return tuple(name for name, metric in metrics.items() if metric.exact)
