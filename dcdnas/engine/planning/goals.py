"""What networks are trained for, and what is weighed: a task of somebody's own where one is meant, its objectives and costs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.core.objective import Direction, Goals, Objective
from dcdnas.core.plugins import load_plugin
from dcdnas.cost import ALWAYS, metrics
from dcdnas.data import Images
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors import executors
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import ContractError, UsageError, nearest
from dcdnas.space.search_space import SearchSpace
from dcdnas.tasks import CLASSIFICATION, OBJECTIVES, SEGMENTATION, Task, check, found_again, name_of, tasks, whole
from dcdnas.training.judging import check_masks


@dataclass(frozen=True)
class OwnTask:
    """A task other than those that dcdnas trains on images.

    Args:
        name: as a run records it.
        task: opened.
    """

    name: str
    task: Task


def own_task(said: str | None, given: Any, execution: Execution) -> tuple[OwnTask | None, Execution]:
    """The task that is meant, None for classification and segmentation; and how its trainings are run.

    Args:
        said: a name, or a file with a task.
        given: in Python: a task, or its class; None where it is said.
        execution: how trainings are run otherwise.

    Raises:
        UsageError: when it is none, or the workers of the executor could not find it.
        FileError: when the file holds none, or one that breaks a rule.
    """
    if given is not None:
        task = _object(given)
        _check_workers(task, execution)
        own = OwnTask(name_of(task), whole(task))
        return own, replace(execution, task=own.task)
    if said is None or said in (CLASSIFICATION, SEGMENTATION):
        return None, execution
    name = _of_file(said) if said.endswith(".py") or "/" in said else said
    return OwnTask(name, whole(tasks[name]())), execution


def _of_file(path: str) -> str:
    plugin = load_plugin(Path(path))
    if plugin.kind != "task":
        raise UsageError(
            f"--task {path}: holds no task but the {plugin.kind} {plugin.name!r}. Say --plugin {path}, and give a task's file."
        )
    return plugin.name


def _object(given: Any) -> object:
    named = f"the task {given.__name__ if inspect.isclass(given) else type(given).__name__}"
    try:
        check("", given)
        made: object = given() if inspect.isclass(given) else given
    except ContractError as error:
        raise UsageError(f"{named}: {error}.") from None
    return made


def _check_workers(task: object, execution: Execution) -> None:
    """Other processes make the object again from its class and what it holds."""
    if executors[execution.executor].in_process or found_again(task):
        return
    raise UsageError(
        f"the task {name_of(task)} cannot be found by worker processes: its class is defined in a notebook, a script or a "
        'function. Write it into a file and give that, task="my_task.py", or train in this process, executor="inline".'
    )


def check_images(said: str | None, space: SearchSpace, images: Images) -> None:
    """Refuses images that the networks of a space are not for, and the name of a task that is not that of the images.

    Args:
        said: name of the task; None lets the images say it.
        space: that is searched.
        images: to train on.

    Raises:
        UsageError: saying what goes with what.
    """
    right = SEGMENTATION if images.masks else CLASSIFICATION
    if said not in (None, right):
        have = "masks, a class at each pixel" if images.masks else "a label for each image"
        other = f"images with masks, like {SEGMENTATION}-quick -d shapes" if said == SEGMENTATION else "images with a label each"
        raise UsageError(f"--task {said}: {images.name} has {have}, which is a {right}. Leave --task out, or give {other}.")
    check_masks(space.name, bool(space.head), images)


def known_objectives(own: OwnTask | None, space: SearchSpace) -> Sequence[Objective]:
    """Those of the task that a space is searched for, before it is known which classes there are."""
    return own.task.objectives if own else OBJECTIVES[space.head]


def chosen_goals(
    settings: SearchSettings, objectives: Sequence[Objective], budgets: Sequence[Budget], space: SearchSpace
) -> Goals:
    """The task's first objective and those that were asked for; the first budget's metric and those that were asked for.

    Where the width is fitted to the first budget all networks cost about the same: its metric is no objective.

    Args:
        settings: what was said.
        objectives: of the task.
        budgets: of the search.
        space: that is searched.

    Raises:
        UsageError: for an objective that neither the task nor a cost metric is, and for one in the other direction.
    """
    known = {o.name: o for o in objectives}
    for name in known.keys() & set(metrics):
        raise UsageError(f"the task's objective {name!r} has the name of a cost metric. Rename it.")
    for name in settings.maximize:
        if name not in known and name in metrics:
            raise UsageError(f"--maximize {name}: a cost can only be minimised. Say --minimize {name}.")
        _check_direction(known, name, "maximize")
    for name in (n for n in settings.minimize if n in known or n not in metrics):
        _check_direction(known, name, "minimize")
    asked = {*settings.maximize, *settings.minimize}
    chosen = (o for i, o in enumerate(objectives) if not i or o.name in asked)
    return Goals(tuple(chosen), _costs([n for n in settings.minimize if n not in known], budgets, space))


def _check_direction(known: Mapping[str, Objective], name: str, direction: Direction) -> None:
    if name not in known:
        costs = () if direction == "maximize" else tuple(metrics)
        listed = f" Cost metrics: {', '.join(costs)}." if costs else ""
        own = ", ".join(f"{o.name} (to {o.direction})" for o in known.values())
        raise UsageError(
            f"--{direction} {name}: no objective of the task is called that. {nearest(name, [*known, *costs])} "
            f"Objectives: {own}.{listed}"
        )
    right = known[name].direction
    if right != direction:
        raise UsageError(f"--{direction} {name}: the task says to {right} it. Say --{right} {name}.")


def _costs(asked: Sequence[str], budgets: Sequence[Budget], space: SearchSpace) -> tuple[str, ...]:
    """Cost metrics that are weighed; the first metric of every price when nothing says what a cost is."""
    for name in (*(b.metric for b in budgets), *asked):
        metrics[name]
    if space.fit is not None:
        filled = budgets[0].metric
        if filled in asked:
            raise UsageError(
                f"--minimize {filled}: the width in {space.name} is fitted to {budgets[0]}, so every network costs about that. "
                "Name another metric, or none."
            )
        return tuple(dict.fromkeys(asked))
    return tuple(dict.fromkeys([*(b.metric for b in budgets[:1]), *asked])) or ALWAYS[:1]
