"""What an earlier session left: its trials, and which of them to ask again."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from dcdnas.core.trial import ENDED, Trial
from dcdnas.engine.store import Store

ATTEMPTS = 2
"""Times a network may be training when the driver dies before it counts as failed."""

DIED = "the driver died while it was training"


@dataclass(frozen=True)
class Memory:
    """What the store of an earlier session says.

    Args:
        trials: all of them; none is running any more.
        again: trials to ask again, with the number of the attempt that this will be.
    """

    trials: list[Trial]
    again: list[tuple[Trial, int]]


def recover(store: Store, died: bool) -> Memory:
    """Reads the store, closes what was running in it, and lists what has to be asked again.

    Args:
        store: open for writing.
        died: whether the earlier driver was killed; if not, it could only not write any more, and no network is to blame.
    """
    attempts = store.attempts()
    trials = store.trials()
    with store.transaction():
        for position, trial in enumerate(trials):
            if trial.state == "running":
                trials[position], attempts[trial.number] = _swept(trial, attempts[trial.number], died)
                store.add(trials[position], attempts[trial.number])
    settled = {t.architecture.digest for t in trials if t.state in (*ENDED, "failed")}
    last = {t.architecture.digest: t for t in trials if t.state == "interrupted"}
    return Memory(trials, [(t, attempts[t.number]) for digest, t in last.items() if digest not in settled])


def _swept(trial: Trial, attempt: int, died: bool) -> tuple[Trial, int]:
    """A trial that was running is interrupted, with the number of the next attempt; failed when this was the last."""
    now = time.time()
    if not died:
        return replace(trial, state="interrupted", reason="the driver ended while it was training", ended=now), attempt
    if attempt < ATTEMPTS:
        return replace(trial, state="interrupted", reason=DIED, ended=now), attempt + 1
    return replace(trial, state="failed", reason=f"the driver died {attempt} times while it was training", ended=now), attempt
