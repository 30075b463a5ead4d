"""Why trainings failed, the same reasons together, and what to try about each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dcdnas.core.trial import Trial

HINTS = (
    (r"loss is|nan|inf\b|diverged", "The training diverged. Search again with a lower learning rate or a longer warm-up: "
     "--set lr=0.05, --set warmup=0.2."),
    (r"deadline|hung|no report", "The training took longer than allowed. Raise --trial-timeout, or train fewer epochs."),
    (r"out of memory|OutOfMemory|OOM", "The memory was full. Run fewer trainings at one time (--jobs), "
     "or a smaller batch (--set batch_size=64)."),
    (r"CUDA|cuDNN|NCCL", "The GPU reported an error. `dcdnas doctor` says what torch sees; another training on it may go well."),
    (r"driver died|killed|ActorDied|worker|exit code|signal", "A process was killed from outside, often for its memory. "
     "Run fewer trainings at one time (--jobs); `dcdnas resume` goes on."),
    (r"no images|data|file", "The images could not be read. `dcdnas data check` says what is wrong with them."),
)  # fmt: skip
OTHERWISE = "Train this network by itself to see the whole error: the command is on the trial's page."


@dataclass(frozen=True)
class Failure:
    """Trials that failed for the same reason, numbers in it apart.

    Args:
        reason: of the latest of them, in full.
        hint: what to try.
        trials: the latest first.
    """

    reason: str
    hint: str
    trials: tuple[Trial, ...]


def failures(trials: Iterable[Trial]) -> list[Failure]:
    """The reasons of failed trials, the most frequent first."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.state == "failed":
            groups.setdefault(re.sub(r"\d+(?:\.\d+)?(?:e-?\d+)?", "#", trial.reason), []).append(trial)
    found = [Failure(g[-1].reason or "no reason was given", hint(g[-1].reason), tuple(reversed(g))) for g in groups.values()]
    return sorted(found, key=lambda f: (-len(f.trials), f.trials[0].number))


def hint(reason: str) -> str:
    """What to try about a failure."""
    return next((said for pattern, said in HINTS if re.search(pattern, reason, re.IGNORECASE)), OTHERWISE)
