"""Restores the trials of an earlier session and decides which of them to train again.

A training that was lost with its driver or machine says nothing about its network, unless that happens repeatedly.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from dcdnas.core.trial import ENDED, FailureKind, Trial
from dcdnas.engine.store import Store
from dcdnas.errors import RunError
from dcdnas.space.search_space import SearchSpace

AGAIN = 3
"""Number of times that a lost training is repeated at once. One that is lost once more waits until all others have ended and
then runs alone; if the driver or machine dies again, the training has failed."""

DIED = "the driver died while it was training"


def recover(store: Store, died: bool, retry_failed: bool = False) -> list[Trial]:
    """Reads the trials of a run and marks those that were running as interrupted or failed.

    Args:
        store: the run's store, open for writing.
        died: whether the earlier driver was killed. Otherwise it merely could not write its end, and no network is to blame.
        retry_failed: whether failed trials are trained again.

    Returns:
        All trials, without their learning curves. None is running any more; the interrupted ones are to be trained again.
    """
    trials = store.trials(curves=False)
    with store.transaction():
        for position, trial in enumerate(trials):
            if trial.state == "running":
                quiet = replace(trial, state="interrupted", reason="the driver ended while it was training", ended=time.time())
                trials[position] = lost(trial, DIED) if died else quiet
            elif trial.state == "failed" and retry_failed:
                reason = f"is trained again after it had failed: {trial.reason}"
                trials[position] = replace(trial, state="interrupted", reason=reason, failure=None, score=None, lost=0)
            else:
                continue
            store.add(trials[position])
    return trials


def lost(trial: Trial, reason: str, kind: FailureKind = FailureKind.DRIVER_DIED) -> Trial:
    """Marks a running trial whose driver or machine died as interrupted, or as failed if that was its last attempt.

    Args:
        trial: the trial that was running.
        reason: what happened, human-readable.
        kind: kind of the failure: the driver or its node died.
    """
    times = trial.lost + 1
    if not postponed(trial):
        return replace(trial, state="interrupted", reason=reason, ended=time.time(), lost=times)
    said = f"{reason} ({times} times, the last time alone)"
    return replace(trial, state="failed", failure=kind, reason=said, ended=time.time(), lost=times)


def postponed(trial: Trial) -> bool:
    """Whether a training was lost so often that it waits for all others and runs alone."""
    return trial.lost > AGAIN


def failures_in_a_row(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that failed since the last one that did not, in the order in which they ended."""
    ended = sorted((t for t in trials if t.state in (*ENDED, "failed")), key=lambda t: (t.ended, t.number))
    good = next((i for i, t in enumerate(reversed(ended)) if t.state != "failed"), len(ended))
    return ended[len(ended) - good :]


def check_options(space: SearchSpace, trials: Iterable[Trial]) -> None:
    """Checks that the space has the options of earlier trials, because no sampler could learn from others.

    Args:
        space: space that is searched.
        trials: trials of earlier sessions.

    Raises:
        RunError: when it lacks one of them.
    """
    known, names = {(d.name, option) for d in space.decisions for option in d.options}, {d.name for d in space.decisions}
    for trial in trials:
        if trial.decisions.items() <= known:
            continue
        for name, option in trial.decisions.items() - known:
            if name in names:
                raise RunError(
                    f"trial {trial.number}: the space has no {name} of {option!r:.60}. The run's memory is of another "
                    "search.yaml: restore both from one copy."
                )
