"""What a search tries, and what became of it: trials, their states and their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost, Setting

State = Literal["finished", "stopped", "failed", "interrupted", "running", "refused", "replayed"]
ENDED: tuple[State, ...] = ("finished", "stopped")
"""The states that count as one of the `-n N` trainings."""


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What a training says after each epoch.

    Args:
        epoch: epochs done, from 1.
        accuracy: share of the validation images that are right, 0-1.
        loss: mean cross entropy over the validation images.
        seconds: since the training began.
    """

    epoch: int
    accuracy: float
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """How a training ended: its last report, and every one before it."""

    accuracy: float
    loss: float
    epochs: int
    seconds: float
    curve: tuple[EpochResult, ...] = ()


@dataclass(frozen=True, slots=True)
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
        origin: who asked for it: ``static`` (the reference network), ``start``, the sampler's name, ``confirm`` or ``retry``.
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
