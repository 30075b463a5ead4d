"""What an earlier session left: its trials, and which of them to ask again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from dcdnas.core.trial import ENDED, FailureKind, Trial
from dcdnas.engine.store import Store

ATTEMPTS = 2
"""Times a network may be training when the driver dies before it counts as failed."""

DIED = "the driver died while it was training"


@dataclass(frozen=True)
class Memory:
    """What the store of an earlier session says.

    Args:
        trials: all of them; none is running any more.
        again: trials to ask again.
    """

    trials: list[Trial]
    again: list[Trial]


def recover(store: Store, died: bool) -> Memory:
    """Reads the store, closes what was running in it, and lists what has to be asked again.

    Args:
        store: open for writing.
        died: whether the earlier driver was killed; if not, it could only not write any more, and no network is to blame.
    """
    trials = store.trials()
    with store.transaction():
        for position, trial in enumerate(trials):
            if trial.state == "running":
                now = time.time()
                quiet = replace(trial, state="interrupted", reason="the driver ended while it was training", ended=now)
                trials[position] = lost(trial, DIED) if died else quiet
                store.add(trials[position])
    settled = {t.deployed for t in trials if t.state in (*ENDED, "failed")}
    last = {t.deployed: t for t in trials if t.state == "interrupted"}
    return Memory(trials, [t for built, t in last.items() if built not in settled])


def lost(trial: Trial, reason: str, kind: FailureKind = FailureKind.DRIVER_DIED) -> Trial:
    """A running trial whose training went down with its driver: interrupted, or failed when that was not the first time.

    Args:
        trial: that was running.
        reason: what happened, for people.
        kind: what went down: the driver or the machine of the training.
    """
    times = trial.lost + 1
    if times < ATTEMPTS:
        return replace(trial, state="interrupted", reason=reason, ended=time.time(), lost=times)
    said = f"{reason} ({times} times)"
    return replace(trial, state="failed", failure=kind, reason=said, ended=time.time(), lost=times)
