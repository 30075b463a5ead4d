"""The definition of a cost metric: its notation, its measurement of a module, and how a network's value is computed."""

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
    """A cost of a network at deployment, expressed as a number.

    The value of a network is the sum over its slots, unless `of_network` computes it.

    Args:
        notation: how its values are named, written and parsed.
        unit: the base unit in words.
        measure: (module in eval mode, shape of one input without the batch) -> value, at batch 1.
        of_slot: the same value for one slot without running anything; returns None where a measurement is needed.
        of_network: the value of a network that need not be built, for a metric that is not a sum over the slots.
        peaks: for a metric that is a maximum: numbers whose maximum is the value of the network. They distinguish networks of
            equal value, one of which may be closer to a smaller value than the other.
        floor: for a metric that is not a sum: lower bound of the value of every network that has this choice in this slot.
        exact: whether a price equals what `measure` returns. A prediction does not, and is never compared with a measurement.
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
        """Name of the metric as in a budget, e.g. ``flops``."""
        return self.notation.metric

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of arrays of its values; integers are summed exactly."""
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
        """Adds a metric from outside the folder, for the lifetime of this process; see `Catalogue.add`."""
        super().add(name, entry, module)
        register(entry.notation)


metrics = Metrics()


def notations(budgets: Iterable[str] = ()) -> Notations:
    """Returns how each metric is named, written and parsed.

    Args:
        budgets: in text form; a metric that they name and an installed package offers is imported.
    """
    for name in {named(text) for text in budgets} & {*metrics.offered}:
        metrics[name]
    return {name: metric.notation for name, metric in metrics.items()}


def additive_metrics() -> tuple[str, ...]:
    """Names of the metrics that are sums over the slots and not predictions."""
    return tuple(name for name, metric in metrics.items() if metric.additive and metric.exact)


def exact_metrics() -> tuple[str, ...]:
    """Names of the metrics whose price is not a prediction."""
    return tuple(name for name, metric in metrics.items() if metric.exact)
