"""What a search tries, and what became of it: trials, their states and their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost, Setting

State = Literal["finished", "stopped", "failed", "interrupted", "running", "refused", "replayed"]
ENDED: tuple[State, ...] = ("finished", "stopped")
"""The states that count as one of the `-n N` trainings."""

LOST: tuple[State, ...] = ("running", "interrupted")
"""The states of trials that have not ended, which a resumed search trains again."""


class Ending(StrEnum):
    """How a search ended. Programs decide by it; `sentence` is for people."""

    COMPLETED = "completed"
    EXHAUSTED = "exhausted"
    PLATEAU = "plateau"
    TIME_IS_UP = "time-is-up"
    TOO_MANY_FAILURES = "too-many-failures"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    TAKEN_OVER = "taken-over"
    EXECUTOR_CRASHED = "executor-crashed"

    @property
    def sentence(self) -> str:
        """Why the search ended before its number, in words; empty when it did not."""
        return _SENTENCES[self]

    @property
    def resumable(self) -> bool:
        """Whether something outside the search ended it, so that a resume simply goes on."""
        return self in (Ending.STOPPED, Ending.INTERRUPTED, Ending.TAKEN_OVER, Ending.EXECUTOR_CRASHED)


_SENTENCES = {
    Ending.COMPLETED: "",
    Ending.EXHAUSTED: "the space is exhausted: every network within the budget that was drawn is known",
    Ending.PLATEAU: "no training has changed the front for as long as --patience allows",
    Ending.TIME_IS_UP: "time is up",
    Ending.TOO_MANY_FAILURES: "too many trainings in a row failed",
    Ending.STOPPED: "stopped as asked",
    Ending.INTERRUPTED: "interrupted",
    Ending.TAKEN_OVER: "taken over by another driver",
    Ending.EXECUTOR_CRASHED: "what runs the trainings crashed",
}


class FailureKind(StrEnum):
    """Why a training failed. Programs decide by it; the sentence beside it, `Trial.reason`, is for people."""

    RAISED = "raised"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out-of-memory"
    KILLED = "killed"
    CRASHED = "crashed"
    HUNG = "hung"
    MISMATCH = "mismatch"
    DATA = "data"
    TASK = "task"
    DEVICE = "device"
    NO_WORKER = "no-worker"
    DRIVER_DIED = "driver-died"
    NODE_LOST = "node-lost"


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What a training says after each epoch.

    Args:
        epoch: epochs done, from 1.
        values: of the task's objectives, by name and in their order, on the validation part.
        seconds: since the training began.
    """

    epoch: int
    values: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """How a training ended: its last report, and every one before it.

    Args:
        values: of the task's objectives, by name.
        epochs: done.
        seconds: that it took.
        curve: its reports, epoch by epoch.
    """

    values: Mapping[str, float]
    epochs: int
    seconds: float
    curve: tuple[EpochResult, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Trial:
    """One architecture of a search and all that became of it.

    Args:
        number: position in the search, from 0.
        state: see `State`.
        architecture: what was tried.
        decisions: the options the sampler chose, by the decision's name.
        cost: priced before any training.
        score: the training's result; None before its first report.
        seed: of its training.
        reason: why it was refused, replayed, stopped, interrupted or failed; empty otherwise.
        failure: what kind of failure it was; None unless it failed, and for a failed trial of a run of format 1.
        lost: how often a driver or machine went down while this network was training.
        deployed: identity of the network that is priced (`dcdnas.networks.identity`); empty where nobody has worked it out.
        trained: identity of the network that its training builds of it, at the proxy's images; empty where nothing is trained.
        trained_cost: price of that network, by the metrics that are no predictions; None where nothing is trained.
        origin: who asked for it: ``static`` (the reference network), ``ladder`` (the other uniform static networks that are
            trained first), ``start-from`` (the front of an earlier run), ``start``, the sampler's name or ``confirm``.
        started: seconds since the epoch.
        ended: seconds since the epoch; 0 while running.
    """

    number: int
    state: State
    architecture: Architecture
    decisions: Mapping[str, Setting]
    cost: Cost
    score: Score | None = None
    seed: int = 0
    reason: str = ""
    origin: str = ""
    started: float = 0.0
    ended: float = 0.0
    failure: FailureKind | None = None
    lost: int = 0
    deployed: str = ""
    trained: str = ""
    trained_cost: Cost | None = None

    def __repr__(self) -> str:
        """In a line: state, its first value and what that is of, cost, network."""
        s, a = self.score, self.architecture
        first = next((f"{name} {value:.4f}" for name, value in s.values.items()), "no result") if s else ""
        reached = f" with {first} in one training of {s.epochs} epochs" if s else ""
        cost = ", ".join(f"{metric} {value:,.10g}" for metric, value in self.cost.values.items())
        return f"<Trial {self.number}: {self.state}{reached}; {cost}; {a.named} {a.digest}, asked by {self.origin or 'nobody'}>"

    @property
    def attempts(self) -> int:
        """Trainings that ended by themselves, and so count against the network; one lost with its driver does not."""
        lost = self.failure in (FailureKind.DRIVER_DIED, FailureKind.NODE_LOST)
        return int(self.state in (*ENDED, "failed") and not lost)
