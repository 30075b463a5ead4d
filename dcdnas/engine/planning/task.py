"""Chooses the proxy training of a search: that of the space, changed by the user's settings."""

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
    "data", "resolution", "classes", "epochs", "batch_size", "lr", "classifier_width", "weight_decay", "label_smoothing",
    "warmup", "augment", "controller_lr", "controller_warmup", "skip_damaged", "norm_batches",
)  # fmt: skip
"""Settings that override the proxy training of the space."""

FLAGS = {
    "data": "--data", "resolution": "--proxy-resolution", "classes": "--proxy-classes", "epochs": "--epochs",
    "skip_damaged": "--skip-damaged",
}  # fmt: skip
"""Flags of `dcdnas search` for some of these settings; --set gives the others."""


def chosen_training(
    settings: SearchSettings, space: SearchSpace, budgets: Sequence[Budget], own: OwnTask | None
) -> tuple[TrainingTask, Mapping[str, Any]]:
    """Chooses the source of results, the proxy training or a benchmark table; also returns the table's record, else empty.

    Args:
        settings: the user's settings.
        space: space that is searched.
        budgets: budgets of the search.
        own: a user's own task; None for classification and segmentation.

    Raises:
        UsageError: as for `chosen_task`, and when no table has networks of the space.
        DataError: when the images or the table are missing or damaged.
    """
    table = chosen_table(settings.executor, settings.table, space, budgets)
    if table is None:
        return chosen_task(settings, space, own), {}
    check_nothing_said(settings, RECIPE, f"nothing is trained on the table {table.NAME}. Leave it out")
    return task_of(table, space, settings.early_stopping), record(table)


def chosen_task(settings: SearchSettings, space: SearchSpace, own: OwnTask | None = None) -> TrainingTask:
    """Builds the proxy training of the space with the given settings; with early stopping, it starts with a short training.

    Raises:
        UsageError: when a decision of the space does not change the trained network, or only one of images and networks is for
            segmentation.
        DataError: when the images are missing or damaged.
    """
    proxy = replace(space.proxy, deployed_side=max(space.resolutions))
    said = {name: getattr(settings, name) for name in RECIPE}
    if own:
        others = [name for name in RECIPE if name != "epochs"]
        check_nothing_said(settings, others, f"the task {own.name} has its own. Allowed with it: --epochs")
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
    """Checks that no setting of dcdnas's own training is given when that training does not take place.

    Args:
        settings: the user's settings.
        names: names of the settings that have no effect.
        why: why they have none, and what to do.

    Raises:
        UsageError: for the first of them that was given.
    """
    given = next((name for name in names if getattr(settings, name) is not None), None)
    if given:
        flag = FLAGS.get(given, f"--set {given}=...")
        raise UsageError(f"{flag} applies only to dcdnas's own training; {why}.")


def scaled(goals: Goals, task: TrainingTask, space: SearchSpace) -> tuple[Objective, ...]:
    """The objectives of a search with their scales; for a classification these begin at chance level.

    Raises:
        UsageError: when a benchmark table does not have the objectives.
    """
    if task.own:
        return goals.objectives
    if task.table:
        check_objectives(task, [o.name for o in goals.objectives])
    known = of_classes(space.classes) if task.table else open_task(task).objectives
    return tuple(o for chosen in goals.objectives for o in known if o.name == chosen.name)


def number_of_confirmations(settings: SearchSettings, task: TrainingTask) -> int:
    """Number of fresh seeds of a confirmation: the setting; on a table at most the trainings that the search does not use."""
    return min(settings.confirm, unseen_trainings(task)) if task.table else settings.confirm


def default_resolution(settings: SearchSettings, space: SearchSpace) -> int | None:
    """Side of the training images: the setting, or else the side of the space's input if the data source decodes pictures.

    None keeps the resolution of the space's proxy. A resolution in the space file is kept unless other data are given.
    """
    data = settings.data or space.proxy.data
    of_space = settings.data is None and space.proxy.resolution
    if settings.resolution is not None or of_space or not open_source(data).DECODES:
        return settings.resolution
    return space.input[1]


def notes_on_images(task: TrainingTask) -> list[str]:
    """Notes for the user on how the images were read, as one sentence; empty when there are none."""
    said = [] if task.table or task.own else images_of(task).train.notes
    return [f"{task.data}: {'; '.join(said)}."] if said else []


def images_in_words(task: TrainingTask) -> str:
    """Describes the images that the trainings use."""
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
    """Note for trainings on images whose classes or channels differ from those of the deployed networks; else empty.

    Args:
        space: space that is searched.
        task: its proxy training.
        given: channels and classes of the whole data set; None when no images were given, so that they are a stand-in.
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
