"""Trials of a search, with their states and results, and the reasons for which a search ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost, Setting

State = Literal["finished", "stopped", "failed", "interrupted", "running", "refused", "replayed"]
ENDED: tuple[State, ...] = ("finished", "stopped")
"""The states of trials that count towards the `-n N` trainings."""

LOST: tuple[State, ...] = ("running", "interrupted")
"""The states of trials whose training was not completed, which a resumed search trains again."""


class Ending(StrEnum):
    """How a search ended, machine-readable; `sentence` is the human-readable reason."""

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
        """Why the search ended before all its trainings were done, in words; empty when it completed them."""
        return _SENTENCES[self]

    @property
    def resumable(self) -> bool:
        """Whether the search was ended from outside, so that a resume simply continues it."""
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
    Ending.EXECUTOR_CRASHED: "the executor that runs the trainings crashed",
}


class FailureKind(StrEnum):
    """Why a training failed, machine-readable; `Trial.reason` is the human-readable reason."""

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
    """The report of a training after one epoch.

    Args:
        epoch: number of completed epochs, from 1.
        values: values of the task's objectives on the validation split, by name, in the order of the objectives.
        seconds: seconds since the training began.
    """

    epoch: int
    values: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """The result of a training: its last report, and the reports of all epochs.

    Args:
        values: values of the task's objectives, by name.
        epochs: number of completed epochs.
        seconds: duration of the training in seconds.
        curve: its reports, epoch by epoch.
    """

    values: Mapping[str, float]
    epochs: int
    seconds: float
    curve: tuple[EpochResult, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Trial:
    """One architecture of a search with its state and results.

    Args:
        number: position in the search, from 0.
        state: see `State`.
        architecture: the architecture that is tried.
        decisions: the options that the sampler chose, by the decision's name.
        cost: its deployment cost, which is known before any training.
        score: the training's result; None before its first report.
        seed: seed of its training.
        reason: why it was refused, replayed, stopped, interrupted or failed; empty otherwise.
        failure: kind of the failure; None for trials that did not fail, and for failed trials in runs of format 1.
        lost: how often a driver or machine went down while this network was training.
        deployed: identity of the deployed network, which is priced (`dcdnas.networks.identity`); empty where not computed.
        trained: identity of the network that is trained, adapted to the proxy's images; empty where nothing is trained.
        trained_cost: cost of the trained network, by the metrics that are not predictions; None where nothing is trained.
        origin: where the trial comes from: ``static`` (the reference network), ``ladder`` (the other uniform static networks
            that are trained first), ``start-from`` (the front of an earlier run), ``start``, the sampler's name or ``confirm``.
        started: start time in seconds since the epoch.
        ended: end time in seconds since the epoch; 0 while running.
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
        """One line with state, first objective, cost and network."""
        s, a = self.score, self.architecture
        first = next((f"{name} {value:.4f}" for name, value in s.values.items()), "no result") if s else ""
        reached = f" with {first} in one training of {s.epochs} epochs" if s else ""
        cost = ", ".join(f"{metric} {value:,.10g}" for metric, value in self.cost.values.items())
        return f"<Trial {self.number}: {self.state}{reached}; {cost}; {a.named} {a.digest}, asked by {self.origin or 'nobody'}>"

    @property
    def attempts(self) -> int:
        """Number of trainings, 0 or 1, that count against the network; one lost with its driver or machine does not count."""
        lost = self.failure in (FailureKind.DRIVER_DIED, FailureKind.NODE_LOST)
        return int(self.state in (*ENDED, "failed") and not lost)
