"""What a cost metric is: a unit and a function of a module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dcdnas.architecture import LayerChoice
from dcdnas.catalogue import Catalogue
from dcdnas.networks import Slot


@dataclass(frozen=True)
class Metric:
    """A number that a network costs at deployment.

    Args:
        name: as in a budget, e.g. ``flops``.
        unit: the base unit in words.
        measure: (module in eval mode, shape of one input without the batch) -> value, at batch 1.
        additive: whether a network's value is the sum over its slots, so that a table can price it.
        of_slot: the same value for one slot without running anything; None where that needs a measurement.
    """

    name: str
    unit: str
    measure: Callable[[nn.Module, tuple[int, ...]], int]
    additive: bool = True
    of_slot: Callable[[Slot, LayerChoice], int | None] = lambda slot, choice: None


metrics: Catalogue[Metric] = Catalogue("cost", "cost metric")
