"""What an earlier session left: its trials, and which of them to ask again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from dcdnas.engine.store import Store
from dcdnas.records import ENDED, Trial

ATTEMPTS = 2
"""Times a network may be training when the driver dies before it counts as failed."""


@dataclass(frozen=True)
class Memory:
    """What the store of an earlier session says.

    Args:
        trials: all of them; none is running any more.
        attempts: times the network of each had been started.
        again: trials to ask again, with the number of the attempt that this will be.
    """

    trials: list[Trial]
    attempts: dict[int, int]
    again: list[tuple[Trial, int]]


def recover(store: Store) -> Memory:
    """Reads the store, marks what was running when the driver died, and lists what has to be asked again."""
    attempts = store.attempts()
    trials = [_swept(t, attempts[t.number]) for t in store.trials()]
    settled = {t.architecture.digest for t in trials if t.state in (*ENDED, "failed")}
    last = {t.architecture.digest: t for t in trials if t.state == "interrupted"}
    again = [(t, attempts[t.number] + t.reason.startswith("the driver died")) for d, t in last.items() if d not in settled]
    return Memory(trials, attempts, again)


def _swept(trial: Trial, attempt: int) -> Trial:
    """A trial that was running is interrupted; failed when it was not the first time."""
    if trial.state != "running":
        return trial
    if attempt >= ATTEMPTS:
        return replace(trial, state="failed", reason=f"the driver died {attempt} times while it was training", ended=time.time())
    return replace(trial, state="interrupted", reason="the driver died while it was training", ended=time.time())
