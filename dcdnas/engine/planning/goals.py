"""Chooses what a search optimises: the task, a user's own one if given, its objectives and the cost metrics."""

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
    """A user's own task, in place of dcdnas's classification and segmentation.

    Args:
        name: name under which a run records it.
        task: the opened task.
    """

    name: str
    task: Task


def own_task(said: str | None, given: Any, execution: Execution) -> tuple[OwnTask | None, Execution]:
    """Opens a user's own task; returns it (None for classification and segmentation) and the execution for it.

    Args:
        said: name of a task, or a file with one.
        given: a task object or its class, passed from Python; None to use `said`.
        execution: execution without the task.

    Raises:
        UsageError: when the object is not a task, or worker processes could not import it.
        FileError: when the file holds no task, or one that breaks a rule.
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
            f"--task {path}: it holds the {plugin.kind} {plugin.name!r} and no task. Give it with --plugin {path}, and a file "
            "with a task to --task."
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
    """Checks that worker processes can import the task's class, from which they rebuild the object."""
    if executors[execution.executor].in_process or found_again(task):
        return
    raise UsageError(
        f"the task {name_of(task)} cannot be found by worker processes: its class is defined in a notebook, a script or a "
        'function. Write it into a file and give that, task="my_task.py", or train in this process, executor="inline".'
    )


def check_images(said: str | None, space: SearchSpace, images: Images) -> None:
    """Checks that the images suit the named task and the networks of the space.

    Args:
        said: name of the task; None for the one that follows from the images.
        space: space that is searched.
        images: images to train on.

    Raises:
        UsageError: when they do not; the message says what is required.
    """
    right = SEGMENTATION if images.masks else CLASSIFICATION
    if said not in (None, right):
        have = "masks, a class at each pixel" if images.masks else "a label for each image"
        other = f"images with masks, like {SEGMENTATION}-quick -d shapes" if said == SEGMENTATION else "images with a label each"
        raise UsageError(f"--task {said}: {images.name} has {have}, which is a {right}. Leave --task out, or give {other}.")
    check_masks(space.name, bool(space.head), images)


def known_objectives(own: OwnTask | None, space: SearchSpace) -> Sequence[Objective]:
    """The objectives of the task for which a space is searched, before the classes are known."""
    return own.task.objectives if own else OBJECTIVES[space.head]


def chosen_goals(
    settings: SearchSettings, objectives: Sequence[Objective], budgets: Sequence[Budget], space: SearchSpace
) -> Goals:
    """The goals of a search: the task's first objective, the first budget's metric, and everything that the user asked for.

    If the width is fitted to the first budget, its metric is no goal, because all networks cost about the same.

    Args:
        settings: the user's settings.
        objectives: objectives of the task.
        budgets: budgets of the search.
        space: space that is searched.

    Raises:
        UsageError: for a name that is neither an objective nor a cost metric, or a wrong direction.
    """
    known = {o.name: o for o in objectives}
    for name in known.keys() & set(metrics):
        raise UsageError(f"the task's objective {name!r} has the name of a cost metric. Rename it.")
    for name in known.keys() & {decision.name for decision in space.decisions}:
        raise UsageError(f"the task's objective {name!r} has the name of a decision of the space. Rename it.")
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
    """The cost metrics to minimise; the first metric of every price if neither a budget nor the user names one."""
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
