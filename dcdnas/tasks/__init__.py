"""Tasks, which define how networks are trained and evaluated, one per file; the folder is a catalogue."""

from __future__ import annotations

import shlex
import sys
from operator import attrgetter
from typing import Any

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.objective import Objective
from dcdnas.core.plugins import Place, accept
from dcdnas.core.task import TrainingTask
from dcdnas.errors import RunError
from dcdnas.tasks._base import Report, Task, whole
from dcdnas.tasks._elsewhere import ASK_TELL, Elsewhere
from dcdnas.tasks._judging import fitted, judged
from dcdnas.tasks._objectives import ACCURACY, LOSS, MEAN_IOU, OBJECTIVES, SHARES, goals_of, of_classes, recorded
from dcdnas.tasks._rules import check

tasks: Catalogue[Any] = Catalogue("tasks", "task", "`--task FILE` takes one of your own.")
"""The entries are classes: those of classification and segmentation take a recipe, all others no arguments."""

accept(Place(tasks, Task, "task", rules=check))

CLASSIFICATION, SEGMENTATION = "classification", "segmentation"
"""The tasks of searches that name none: for images with labels, and for images with masks."""


def open_task(recipe: TrainingTask, given: Task | None = None) -> Task:
    """Makes the task of a recipe.

    Args:
        recipe: the recipe of the trainings, which names the task.
        given: the task object itself, where the caller passed one in Python.

    Raises:
        UnknownNameError: when there is no task of that name.
        RunError: when the search was begun with a task object that is not given now, or when a user's own loop does the training.
        DataError: when the images are missing or damaged.
    """
    if given is not None:
        return given
    elsewhere = only_where_begun(recipe.own)
    if elsewhere:
        raise RunError(elsewhere)
    if recipe.own:
        return whole(tasks[recipe.own]())
    from dcdnas.tasks.classification import images_of  # imported here, because reading a run must not need torch

    return whole(tasks[SEGMENTATION if images_of(recipe).train.masks else CLASSIFICATION](recipe))


def only_where_begun(own: str, run: str = "RUN") -> str:
    """Says why `dcdnas resume` cannot train for a task, and how to resume the run instead; empty where it can.

    Args:
        own: name of the task in the run's record; empty for tasks on images.
        run: name of the run, where it is known.
    """
    if own == ASK_TELL:
        return (
            "the networks of this run are trained by your own program, which asks for them. Resume it with `dcdnas ask-tell "
            f"--name {shlex.quote(run)}`, or in Python with dcdnas.Search(name={run!r})."
        )
    if ":" in own:
        return (
            f"{own} was given in Python, as an object that no file defines for the run. Resume with the same call, "
            "dcdnas.search(task=...)."
        )
    return ""


def name_of(task: object) -> str:
    """Name of a task that was given in Python: ``module:Class``, or `ASK_TELL` for that of a user's own loop."""
    return ASK_TELL if isinstance(task, Elsewhere) else f"{type(task).__module__}:{type(task).__qualname__}"


def found_again(task: object) -> bool:
    """Whether another process can import the class of a task by module and name."""
    kind = type(task)
    try:
        return kind.__module__ != "__main__" and attrgetter(kind.__qualname__)(sys.modules[kind.__module__]) is kind
    except (AttributeError, KeyError):
        return False


__all__ = [
    "ACCURACY", "ASK_TELL", "CLASSIFICATION", "LOSS", "MEAN_IOU", "OBJECTIVES", "SEGMENTATION", "SHARES", "Elsewhere",
    "Objective", "Report", "Task", "check", "fitted", "found_again", "goals_of", "judged", "name_of", "of_classes",
    "only_where_begun", "open_task", "recorded", "tasks", "whole",
]  # fmt: skip
