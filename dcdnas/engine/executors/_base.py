"""What an executor is to a search: it runs the trainings that the loop hands out, and reports them to it.

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
        execution: what a training runs, its resources, and how many run at one time.
        folder: of the run; takes the workers' log, and files of the executor's own that are disposable.
        interruptible: makes a context in which a signal raises KeyboardInterrupt at once; elsewhere the loop is asked.
    """

    in_process: ClassVar[bool] = False
    """Whether trainings run in this process: then one at a time, and one that crashes takes the search with it."""

    on_cluster: ClassVar[bool] = False
    """Whether trainings may run on other machines, whose GPUs this one does not see."""

    def __init__(self, execution: Execution, folder: Path, interruptible: Guard = nullcontext) -> None:
        self.execution, self.folder, self.interruptible = execution, folder, interruptible

    @property
    def log(self) -> Path:
        """The file that takes what the workers print."""
        return self.folder / "workers.log"

    @abstractmethod
    def run(self, loop: SearchLoop) -> None:
        """Runs trainings until the loop has no more, or says that all must end.

        Each job of `loop.next` is trained; every epoch is told to `loop.report`, which says whether to go on, and the end to
        `loop.end`, also when the training raised or its process died. When `loop.must_end`, what runs is ended and
        `loop.interrupt` called. Errors of the loop itself are raised. `tests/engine/executor_contract.py` holds every
        executor to this.
        """
