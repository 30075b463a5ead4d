"""One training as the loop hands it to an executor (`Job`), and how it ended (`Outcome`)."""

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
"""In a job's place: nothing to hand out before a running training ends."""


@dataclass(frozen=True)
class Job:
    """One training to run.

    Args:
        number: of the trial.
        architecture: at its deployment; the worker adapts it to the proxy.
        task: with the training's seed and deadline.
        confirm: whether it confirms a trial that is known, on a fresh seed.
        metrics: by which the network was priced, and is measured before it is trained.
    """

    number: int
    architecture: Architecture
    task: TrainingTask
    confirm: bool = False
    metrics: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Unique among the jobs of a run that are running at one time."""
        return f"{self.number}-{self.task.seed}" if self.confirm else str(self.number)


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        score: what it reached; None when it failed before its first report.
        error: why it failed, for people; empty when it did not.
        kind: what kind of failure that was.
    """

    score: Score | None
    error: str = ""
    kind: FailureKind | None = None

    def __post_init__(self) -> None:
        if self.error and self.kind is None:
            object.__setattr__(self, "kind", FailureKind.RAISED)


NO_RESULT = Outcome(None, "the training ended without a finite result", FailureKind.DIVERGED)


def derived_seed(seed: int, purpose: str | int) -> int:
    """A seed of 31 bits that depends on the run's seed and on what it is for."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:4], "big") >> 1


def trial_seed(seed: int, number: int) -> int:
    """Of a trial's training."""
    return derived_seed(seed, number)


def confirming_seed(seed: int, turn: int) -> int:
    """Of the trainings that confirm, all networks' in one turn."""
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
    """The outcome of a training that raised."""
    return Outcome(None, described(error), kind_of(error))


def kind_of(error: BaseException) -> FailureKind:
    """What kind of failure an exception is, by its type."""
    kinds, torch = dict(KINDS), sys.modules.get("torch")
    if torch is not None:  # without it nothing can have raised its errors, and importing it takes seconds
        kinds |= {torch.OutOfMemoryError: FailureKind.OUT_OF_MEMORY, torch.AcceleratorError: FailureKind.DEVICE}
    return next((kinds[base] for base in type(error).__mro__ if base in kinds), FailureKind.RAISED)


def described(error: BaseException) -> str:
    """An exception in one line, of characters that every file and terminal takes."""
    try:
        said = str(error)
    except Exception:
        said = "it cannot say what it is"
    text = f"{type(error).__name__}: {said[:1000]}".replace("\n", " ").strip(": ")[:500]
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
