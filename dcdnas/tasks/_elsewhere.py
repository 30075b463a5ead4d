"""The task of a loop of somebody's own, which asks for networks, trains them wherever it likes, and tells what they reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dcdnas.core.objective import Objective
from dcdnas.errors import TaskError
from dcdnas.tasks._base import Report, Task

if TYPE_CHECKING:
    from torch import nn

ASK_TELL = "ask-tell"
"""What a run records as the task of such a loop."""


class Elsewhere(Task):
    """Has the objectives that the loop will tell; dcdnas trains nothing.

    Args:
        objectives: the first one says which network is best.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)

    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        """See `Task.evaluate`; raises, because nobody here knows how to train."""
        raise TaskError("the networks of this run are trained elsewhere, by who asks for them (`dcdnas ask-tell`).")
