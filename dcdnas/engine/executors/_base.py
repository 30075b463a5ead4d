"""Defines the base class of executors, which run the trainings that the loop hands out and report their results to it.

Worker processes import this folder too: it must import neither torch nor Optuna nor Ray.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from dcdnas.engine.execution import Execution
    from dcdnas.engine.loop import SearchLoop

Guard = Callable[[], AbstractContextManager[None]]


class Executor(ABC):
    """Base of the executors.

    Args:
        execution: the training function, its resources, and the number of parallel trainings.
        folder: folder of the run, for the workers' log and disposable files of the executor.
        interruptible: makes a context in which a signal raises KeyboardInterrupt at once; outside it the executor asks
            `loop.must_end`.
    """

    in_process: ClassVar[bool] = False
    """Whether trainings run in the search's own process: then one after the other, and a crash also ends the search."""

    on_cluster: ClassVar[bool] = False
    """Whether trainings may run on other machines, whose GPUs are not visible here."""

    def __init__(self, execution: Execution, folder: Path, interruptible: Guard = nullcontext) -> None:
        self.execution, self.folder, self.interruptible = execution, folder, interruptible

    @property
    def log(self) -> Path:
        """The file to which the workers' output is written."""
        return self.folder / "workers.log"

    @abstractmethod
    def run(self, loop: SearchLoop) -> None:
        """Runs trainings until the loop has no more, or `loop.must_end` is true.

        The executor trains each job of `loop.next`. It reports every epoch to `loop.report`, which returns whether to continue,
        and the outcome to `loop.end`, also when the training raised or its process died. When `loop.must_end` is true, it
        terminates the running trainings and calls `loop.interrupt`. Errors of the loop itself are raised.
        `tests/engine/executor_contract.py` checks every executor against this contract.
        """
