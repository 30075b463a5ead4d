"""What networks are trained for and how they are judged, one task a file; the folder is the table of its entries."""

from __future__ import annotations

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
from dcdnas.tasks._objectives import ACCURACY, LOSS, MEAN_IOU, OBJECTIVES, goals_of, of_classes, recorded
from dcdnas.tasks._rules import check

tasks: Catalogue[Any] = Catalogue("tasks", "task", "`--task FILE` takes one of your own.")
"""Of classes: classification and segmentation are made with a recipe, all others without arguments."""

accept(Place(tasks, Task, "task", rules=check))

CLASSIFICATION, SEGMENTATION = "classification", "segmentation"
"""The tasks of a search that names none: that of images with labels, and that of images with masks."""


def open_task(recipe: TrainingTask, given: Task | None = None) -> Task:
    """The task that trainings are of.

    Args:
        recipe: says which one.
        given: the task itself, where it was given in Python.

    Raises:
        UnknownNameError: when there is none of its name.
        RunError: when it was given in Python, and is not now; and when a loop of somebody's own trains.
        DataError: when the images of a classification are missing or damaged.
    """
    if given is not None:
        return given
    elsewhere = only_where_begun(recipe.own)
    if elsewhere:
        raise RunError(elsewhere)
    if recipe.own:
        return whole(tasks[recipe.own]())
    from dcdnas.tasks.classification import images_of  # needs torch, which whoever only reads a run does without

    return whole(tasks[SEGMENTATION if images_of(recipe).train.masks else CLASSIFICATION](recipe))


def only_where_begun(own: str) -> str:
    """Why trainings of a task cannot be done by `dcdnas resume`, and what goes on instead; empty where they can.

    Args:
        own: the task, as a run records it; empty for those on images.
    """
    if own == ASK_TELL:
        return (
            "the networks of this run are trained elsewhere, by who asks for them. Go on with `dcdnas ask-tell --name RUN`, or "
            "in Python with dcdnas.Search(name=...)."
        )
    if ":" in own:
        return (
            f"{own} was given in Python, as an object without a file of its own. Go on with the same call, "
            "dcdnas.search(task=...)."
        )
    return ""


def name_of(task: object) -> str:
    """What a task is called that was given in Python: ``module:Class``; that of a loop of somebody's own has a name."""
    return ASK_TELL if isinstance(task, Elsewhere) else f"{type(task).__module__}:{type(task).__qualname__}"


def found_again(task: object) -> bool:
    """Whether another process finds the class of a task by module and name."""
    kind = type(task)
    try:
        return kind.__module__ != "__main__" and attrgetter(kind.__qualname__)(sys.modules[kind.__module__]) is kind
    except (AttributeError, KeyError):
        return False


__all__ = [
    "ACCURACY", "ASK_TELL", "CLASSIFICATION", "LOSS", "MEAN_IOU", "OBJECTIVES", "SEGMENTATION", "Elsewhere", "Objective",
    "Report", "Task", "check", "fitted", "found_again", "goals_of", "judged", "name_of", "of_classes", "only_where_begun",
    "open_task", "recorded", "tasks", "whole",
]  # fmt: skip
