"""What each network is trained on and how: the space's proxy, with what was said of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.core.objective import Goals, Objective
from dcdnas.core.task import OWN, TrainingTask
from dcdnas.data import Contents, open_source
from dcdnas.engine.halving import scan_of
from dcdnas.engine.planning.goals import OwnTask, check_images
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.table import check_objectives, chosen_table, record, task_of, unseen_trainings
from dcdnas.errors import UsageError
from dcdnas.networks import identity
from dcdnas.space.effects import check_effects, check_resolutions
from dcdnas.space.search_space import SearchSpace
from dcdnas.tasks import fitted, of_classes, open_task
from dcdnas.tasks.classification import images_of

RECIPE = (
    "data", "resolution", "classes", "epochs", "batch_size", "lr", "weight_decay", "label_smoothing", "warmup", "augment",
    "controller_lr", "controller_warmup", "skip_damaged", "norm_batches",
)  # fmt: skip
"""Settings that replace what the space says of its proxy training."""


MOST_STARTS = 10


def chosen_training(
    settings: SearchSettings, space: SearchSpace, budgets: Sequence[Budget], own: OwnTask | None
) -> tuple[TrainingTask, Mapping[str, Any]]:
    """What stands behind a result: the proxy training, or a benchmark's table with its record, which is empty for a training.

    Args:
        settings: what was said.
        space: that is searched.
        budgets: of the search.
        own: task of somebody's own, where one is meant.

    Raises:
        UsageError: as for `chosen_task`, and when there is no table of such networks.
        DataError: when the images or the table are missing or damaged.
    """
    table = chosen_table(settings.executor, settings.table, space, budgets)
    if table is None:
        return chosen_task(settings, space, own), {}
    check_nothing_said(settings, RECIPE, f"nothing is trained on the table {table.NAME}. Leave it out")
    return task_of(table, space, settings.early_stopping), record(table)


def chosen_task(settings: SearchSettings, space: SearchSpace, own: OwnTask | None = None) -> TrainingTask:
    """The proxy training of the space with the settings that were given, and a short one before it where some stop early.

    Raises:
        UsageError: when a decision of the space would change nothing that is trained, or the images have masks and the networks
            do not score pixels, or the other way round.
        DataError: when the images are missing or damaged.
    """
    proxy = replace(space.proxy, deployed_side=max(space.resolutions))
    said = {name: getattr(settings, name) for name in RECIPE}
    if own:
        others = [name for name in RECIPE if name != "epochs"]
        check_nothing_said(settings, others, f"the task {own.name} trains by itself. Allowed with it: --epochs")
        said["data"] = f"{OWN}{own.name}"
    else:
        said["resolution"] = default_resolution(settings, space)
    task = replace(proxy, **{n: v for n, v in said.items() if v is not None}, deadline=settings.trial_timeout or 0.0)
    task = replace(task, scan=scan_of(task.epochs) if settings.early_stopping else 0)
    if not own:
        check_images(settings.task, space, images_of(task).train)
    opened = open_task(task, own.task if own else None)
    if opened.input:
        check_resolutions(space, opened.input[1])
    check_effects(space, lambda architecture: identity(fitted(opened, architecture, task)))
    return task


def check_nothing_said(settings: SearchSettings, names: Iterable[str], why: str) -> None:
    """Refuses settings of the training of classifiers where there is none.

    Args:
        settings: what was said.
        names: of the settings that have no meaning.
        why: they have none, and what to do.

    Raises:
        UsageError: for the first one that was given.
    """
    given = next((name for name in names if getattr(settings, name) is not None), None)
    if given:
        raise UsageError(f"--{given.replace('_', '-')} is of the training of classifiers; {why}.")


def scaled(goals: Goals, task: TrainingTask, space: SearchSpace) -> tuple[Objective, ...]:
    """The objectives of a search; those of a classification begin at what guessing among the classes gives.

    Raises:
        UsageError: when a benchmark's table does not have them.
    """
    if task.own:
        return goals.objectives
    if task.table:
        check_objectives(task, [o.name for o in goals.objectives])
    known = of_classes(space.classes) if task.table else open_task(task).objectives
    return tuple(o for chosen in goals.objectives for o in known if o.name == chosen.name)


def number_of_starts(settings: SearchSettings) -> int:
    """Networks that are trained before the sampler proposes any: as was said, else 10 and at most a third of the trainings."""
    return min(MOST_STARTS, settings.trials // 3) if settings.starts is None else settings.starts


def number_of_confirmations(settings: SearchSettings, task: TrainingTask) -> int:
    """Fresh seeds of a confirmation: as was said; on a table at most the trainings that a search does not see."""
    return min(settings.confirm, unseen_trainings(task)) if task.table else settings.confirm


def default_resolution(settings: SearchSettings, space: SearchSpace) -> int | None:
    """The side of the training images: what was said, else the space's input for pictures of any size.

    None keeps what the space's proxy says. A proxy that the space names with a resolution keeps it, unless other data are given.
    """
    data = settings.data or space.proxy.data
    of_space = settings.data is None and space.proxy.resolution
    if settings.resolution is not None or of_space or not open_source(data).DECODES:
        return settings.resolution
    return space.input[1]


def notes_on_images(task: TrainingTask) -> list[str]:
    """What a person should know of how the images were read, in a sentence; none when there is nothing."""
    said = [] if task.table or task.own else images_of(task).train.notes
    return [f"{task.data}: {'; '.join(said)}."] if said else []


def images_in_words(task: TrainingTask) -> str:
    """The images that the trainings see, in a sentence."""
    if task.table:
        return f"{task.data}: results are looked up, nothing is trained"
    if task.own:
        return f"those of the task {task.own}"
    images = images_of(task)
    channels, height, width = images.train.shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    what = f"images of {height}x{width}" + " with masks" * images.train.masks
    return (
        f"{task.data}: {len(images.train):,} {kind} {what} to learn from, "
        f"{len(images.validation):,} to validate on, {len(images.train.classes)} classes"
    )


def notes_on_classes(space: SearchSpace, task: TrainingTask, given: Contents | None) -> list[str]:
    """A sentence where the trainings see other classes or channels than the networks have.

    Args:
        space: that is searched.
        task: its proxy training.
        given: what is in the whole data set; None where nobody chose the images, which are a stand-in then.
    """
    if task.table or task.own:
        return []
    images = images_of(task).train
    if given is not None:
        seen = len(images.classes)
        some = f"the trainings use {seen:,} of the {given.classes:,} classes of {task.data}; the networks have all of them."
        return [some] if seen < given.classes else []
    if images.shape[0] == space.input[0] and len(images.classes) == space.classes:
        return []
    channels, height, width = space.input
    return [
        f"{task.data} is a stand-in: the networks are priced for {channels}x{height}x{width} images and "
        f"{space.classes:,} classes, but trained on it. Give real images with -d, for example -d folder:/data/imagenet."
    ]
