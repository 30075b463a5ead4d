"""Groups failed trials by reason and suggests a remedy for each kind of failure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcdnas.core.trial import FailureKind, Trial

if TYPE_CHECKING:
    from dcdnas.results import Run

OTHERWISE = "Train this network separately to see the whole error: the command is on the trial's page."

OF_TASK = (
    "Your task raised this error. After fixing the cause, `dcdnas resume` with --retry-failed trains the network again; "
    "docs/tasks.md says when a run takes a corrected file."
)
OF_PROGRAM = "Your own program reported this failure."
"""Suggested in place of `OTHERWISE` in runs whose networks `dcdnas train` cannot train."""

HINTS = {
    FailureKind.RAISED: OTHERWISE,
    FailureKind.DIVERGED: "The training diverged. Search again with a lower learning rate or a longer warm-up: "
    "--set lr=0.05, --set warmup=0.2.",
    FailureKind.OUT_OF_MEMORY: "The memory was full. Run fewer trainings at the same time (--jobs), "
    "or a smaller batch (--set batch_size=64).",
    FailureKind.KILLED: "The process was killed from outside, often because of its memory use. "
    "Run fewer trainings at the same time (--jobs), or a smaller batch (--set batch_size=64).",
    FailureKind.CRASHED: "The process of the training crashed. Its output is in workers.log in the run's folder.",
    FailureKind.HUNG: "The training took longer than allowed. Raise --trial-timeout, or train fewer epochs.",
    FailureKind.MISMATCH: "The measured cost of the network differs from its computed price, so it was not trained. If its "
    "operator is a plugin, correct its multiply_adds; otherwise report this, because it is a bug in dcdnas.",
    FailureKind.DATA: "The images could not be read. `dcdnas data check` shows what is wrong with them.",
    FailureKind.TASK: "The task broke its contract: correct what it reports and returns (docs/tasks.md), then search again.",
    FailureKind.DEVICE: "The GPU reported an error. `dcdnas doctor` shows what torch sees; another training on it may succeed.",
    FailureKind.NO_WORKER: "No worker process could be started. Its output is in workers.log in the run's folder.",
    FailureKind.DRIVER_DIED: "The search itself died each time this network was training, finally even when it trained alone, "
    "often because of its memory use. After fixing the cause, `dcdnas resume` with --retry-failed trains it again.",
    FailureKind.NODE_LOST: "The machine that trained it was lost each time, finally even when it trained alone. `ray status` "
    "shows the machines of the cluster. After fixing the cause, `dcdnas resume` with --retry-failed trains it again.",
}


@dataclass(frozen=True)
class Failure:
    """Trials that failed for the same reason.

    Args:
        reason: the full message of the latest of these trials.
        hint: the suggested remedy.
        trials: the most recent first.
        kind: of the failure; None in a run of format 1, which did not record it.
    """

    reason: str
    hint: str
    trials: tuple[Trial, ...]
    kind: FailureKind | None = None


def failures(trials: Iterable[Trial], otherwise: str = OTHERWISE) -> list[Failure]:
    """Groups the failed trials by kind, the largest group first; those that raised an exception also by exact reason.

    Args:
        trials: of a run.
        otherwise: remedy for errors of unknown cause, see `otherwise_in`.
    """
    groups: dict[tuple[FailureKind | None, str], list[Trial]] = {}
    for trial in trials:
        if trial.state == "failed":
            exact = trial.reason if trial.failure in (None, FailureKind.RAISED) else ""
            groups.setdefault((trial.failure, exact), []).append(trial)
    found = [
        Failure(g[-1].reason or "no reason was recorded", hint(kind, otherwise), tuple(reversed(g)), kind)
        for (kind, _), g in groups.items()
    ]
    return sorted(found, key=lambda f: (-len(f.trials), f.trials[0].number))


def hint(kind: FailureKind | None, otherwise: str = OTHERWISE) -> str:
    """Suggested remedy for a kind of failure; `otherwise` for errors of unknown cause."""
    return HINTS[kind] if kind and kind is not FailureKind.RAISED else otherwise


def otherwise_in(run: Run) -> str:
    """Suggested remedy for an error of unknown cause in a run."""
    return OF_PROGRAM if run.trained_elsewhere else OF_TASK if run.own_task else OTHERWISE
