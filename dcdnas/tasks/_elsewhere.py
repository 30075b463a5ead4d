"""The task of an ask-tell loop: a user's own code asks for networks, trains them itself, and reports their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dcdnas.core.objective import Objective
from dcdnas.errors import TaskError
from dcdnas.tasks._base import Report, Task

if TYPE_CHECKING:
    from torch import nn

ASK_TELL = "ask-tell"
"""Name of the task in the record of a run with an ask-tell loop."""


class Elsewhere(Task):
    """Task with the objectives that the user's loop reports; dcdnas trains nothing itself.

    Args:
        objectives: the objectives; the first one decides which network is best.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)

    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        """See `Task.evaluate`; always raises, because only the user's loop can train.

        Raises:
            TaskError: always.
        """
        raise TaskError("the networks of this run are trained by your own program, which asks for them (`dcdnas ask-tell`).")
