"""Defines `Job`, one training as the loop hands it to an executor, and `Outcome`, how that training ended."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from typing import Literal

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import FailureKind, Score
from dcdnas.errors import DataError, Diverged, MismatchError, TaskError, TrainingTimeout

WAIT: Literal["wait"] = "wait"
"""Returned in place of a job when no job is available until a running training ends."""


@dataclass(frozen=True)
class Job:
    """One training to run.

    Args:
        number: number of the trial.
        architecture: the architecture as deployed; the worker adapts it to the proxy.
        task: the training task, with the seed and deadline of this training.
        confirm: whether the training confirms an existing trial on a fresh seed.
        metrics: names of the metrics by which the network was priced; the worker measures them before training.
    """

    number: int
    architecture: Architecture
    task: TrainingTask
    confirm: bool = False
    metrics: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Key that is unique among the concurrently running jobs of a run."""
        return f"{self.number}-{self.task.seed}" if self.confirm else str(self.number)


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        score: result of the training; None when it failed before its first report.
        error: why it failed, human-readable; empty when it did not fail.
        kind: kind of the failure; None when it did not fail.
    """

    score: Score | None
    error: str = ""
    kind: FailureKind | None = None

    def __post_init__(self) -> None:
        if self.error and self.kind is None:
            object.__setattr__(self, "kind", FailureKind.RAISED)


NO_RESULT = Outcome(None, "the training ended without a finite result", FailureKind.DIVERGED)


def derived_seed(seed: int, purpose: str | int) -> int:
    """Derives a 31-bit seed from the run's seed and the purpose."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:4], "big") >> 1


def trial_seed(seed: int, number: int) -> int:
    """Seed of a trial's training."""
    return derived_seed(seed, number)


def confirming_seed(seed: int, turn: int) -> int:
    """Seed of the confirming trainings of all networks in one turn."""
    return derived_seed(seed, f"confirm-{turn}")


KINDS: dict[type[BaseException], FailureKind] = {
    Diverged: FailureKind.DIVERGED,
    TrainingTimeout: FailureKind.HUNG,
    MismatchError: FailureKind.MISMATCH,
    DataError: FailureKind.DATA,
    TaskError: FailureKind.TASK,
    MemoryError: FailureKind.OUT_OF_MEMORY,
}


def failed(error: BaseException) -> Outcome:
    """The outcome of a training that raised an exception."""
    return Outcome(None, described(error), kind_of(error))


def kind_of(error: BaseException) -> FailureKind:
    """The kind of failure that an exception stands for, by its type."""
    kinds, torch = dict(KINDS), sys.modules.get("torch")
    if torch is not None:  # if it is not imported, the exception cannot be one of its errors, and importing it takes seconds
        kinds |= {torch.OutOfMemoryError: FailureKind.OUT_OF_MEMORY, torch.AcceleratorError: FailureKind.DEVICE}
    return next((kinds[base] for base in type(error).__mro__ if base in kinds), FailureKind.RAISED)


def described(error: BaseException) -> str:
    """Describes an exception in one line of printable characters, which every file and terminal accepts."""
    try:
        said = str(error)
    except Exception:
        said = "its message cannot be read"
    return in_one_line(f"{type(error).__name__}: {said[:1000]}").strip(": ")


def in_one_line(text: str) -> str:
    """Writes any text as one line of at most 500 printable characters and escapes, which every file and terminal accepts."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text.replace("\n", " ").strip()[:500])
