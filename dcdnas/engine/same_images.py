"""Refuses to continue a search on other images than those that it was begun with, because the readings could not be compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending
from dcdnas.engine.as_trained import record_of
from dcdnas.engine.formats import begin_again
from dcdnas.engine.rules import differences
from dcdnas.engine.store import CONFIRMING, Store
from dcdnas.errors import DcdnasError, RunError
from dcdnas.tasks.classification import images_of

if TYPE_CHECKING:
    from dcdnas.engine.loop import SearchLoop

SAME = 1e-4
"""Largest difference of two means or deviations that counts as none, because another decoder may round pixels otherwise."""

FACTS: Mapping[str, str] = {
    "classes": "classes", "shape": "channels, height and width", "train": "images to learn from",
    "validation": "images to validate on", "mean": "mean of the pixels", "std": "standard deviation of the pixels",
    "grey_range": "range of grey values", "labels": "digest of the labels",
}  # fmt: skip
"""The facts of a run's record of its images that are compared, with their names in messages."""


def check_images(loop: SearchLoop, before: tuple[Ending | None, str]) -> None:
    """Checks that the images of a search that has trainings left are those that its run was begun with.

    Args:
        loop: of the search, which has not handed out a training yet.
        before: how the last session ended, and why, which is stored again if the images are others or cannot be read.

    Raises:
        RunError: when they are others; the message lists the differences.
        DataError: when they are missing or damaged.
    """
    try:
        if _has_trainings_left(loop):
            _check(loop.store, loop.config.task)
    except DcdnasError:
        loop.store.set_ending(*before)
        raise


def _has_trainings_left(loop: SearchLoop) -> bool:
    config, store = loop.config, loop.store
    chosen = store.meta(CONFIRMING, {}).get("chosen", [])
    ended = Counter(c.number for c in store.confirmations() if c.state == "finished")
    confirmed = not config.confirm or (chosen and all(ended[number] >= config.confirm for number in chosen))
    return bool(loop.interrupted) or loop.ended < config.trials or not confirmed


def _check(store: Store, task: TrainingTask) -> None:
    different, folder = other_images(store.meta("images"), task), store.path.parent
    if different:
        raise RunError(
            f"{folder.resolve().name} was begun with other images than {task.data} has now. They differ in:\n  "
            + "\n  ".join(different) + "\nReadings on both could not be compared. To continue this run, restore its images. "
            f"{begin_again(folder)}"
        )  # fmt: skip


def check_images_of(folder: Path, task: TrainingTask) -> None:
    """Checks the images before networks of a run are trained again, with the same errors as `check_images`."""
    with closing(Store(folder)) as store:
        _check(store, task)


def other_images_of(folder: Path, task: TrainingTask) -> list[str]:
    """The same differences as `other_images`, from the record in a run's folder."""
    with closing(Store(folder)) as store:
        recorded = store.meta("images")
    return other_images(recorded, task)


def other_images(recorded: Mapping[str, Any] | None, task: TrainingTask) -> list[str]:
    """Lists in what the images of a training task differ from those that a run has recorded, one line each.

    Args:
        recorded: the run's record of its images; None, or without some of the facts, in runs of earlier versions.
        task: training task of every trial.

    Raises:
        DataError: when the images are missing or damaged.
    """
    if not recorded or task.table or task.own:
        return []
    now = record_of(images_of(task))
    names = [name for name in FACTS if name in recorded and not _same(recorded[name], now.get(name))]
    return differences(*({FACTS[name]: _rounded(facts.get(name)) for name in names} for facts in (recorded, now)))


def _same(there: Any, here: Any) -> bool:
    """Whether two facts are equal; numbers are, if they differ by no more than `SAME`."""
    if isinstance(there, list) and isinstance(here, list):
        return len(there) == len(here) and all(map(_same, there, here))
    if isinstance(there, float) and isinstance(here, float):
        return math.isclose(there, here, rel_tol=0.0, abs_tol=SAME)
    return bool(there == here)


def _rounded(fact: Any) -> Any:
    """A fact with one more digit than `SAME` tells apart."""
    if isinstance(fact, list):
        return [_rounded(part) for part in fact]
    return round(fact, 5) if isinstance(fact, float) else fact
