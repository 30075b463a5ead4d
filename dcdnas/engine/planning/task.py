"""What each network is trained on and how: the space's proxy, with what was said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.core.objective import Objective
from dcdnas.core.task import TrainingTask
from dcdnas.data import Contents, open_source
from dcdnas.engine.halving import rungs
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.proxy_training import images_of, trained_as
from dcdnas.engine.table import chosen_table, record, task_of
from dcdnas.networks import identity
from dcdnas.space.effects import check_effects, check_resolutions
from dcdnas.space.search_space import SearchSpace
from dcdnas.tasks import of_classes

RECIPE = (
    "data", "resolution", "classes", "epochs", "batch_size", "lr", "weight_decay", "label_smoothing", "warmup", "augment",
    "controller_lr", "controller_warmup", "skip_damaged", "norm_batches",
)  # fmt: skip
"""Settings that replace what the space says of its proxy training."""


FEWEST_TRAININGS, FEWEST_EPOCHS = 50, 8
"""Below either a search stops no training early, unless asked to."""

MOST_STARTS = 10


def chosen_training(
    settings: SearchSettings, space: SearchSpace, budgets: Sequence[Budget]
) -> tuple[TrainingTask, Mapping[str, Any]]:
    """What stands behind a result: the proxy training, or a benchmark's table with its record, which is empty for a training.

    Args:
        settings: what was said.
        space: that is searched.
        budgets: of the search.

    Raises:
        UsageError: as for `chosen_task`, and when there is no table of such networks.
        DataError: when the images or the table are missing or damaged.
    """
    table = chosen_table(settings.executor, settings.table, space, budgets)
    return (chosen_task(settings, space), {}) if table is None else (task_of(table, space), record(table))


def chosen_task(settings: SearchSettings, space: SearchSpace) -> TrainingTask:
    """The proxy training of the space with the settings that were given, and the rung at which early stopping begins.

    Raises:
        UsageError: when a decision of the space would change nothing that is trained.
        DataError: when the images are missing or damaged.
    """
    proxy = replace(space.proxy, deployed_side=max(space.resolutions))
    said = {name: getattr(settings, name) for name in RECIPE}
    said["resolution"] = default_resolution(settings, space)
    task = replace(proxy, **{n: v for n, v in said.items() if v is not None}, deadline=settings.trial_timeout or 0.0)
    first = next(iter(rungs(task.epochs)), 0) if stops_early(settings, task.epochs) else 0
    task = replace(task, first_rung=first)
    images = images_of(task).train
    check_resolutions(space, images.shape[1])
    check_effects(space, lambda architecture: identity(trained_as(architecture, images, task)))
    return task


def objectives_of(task: TrainingTask, space: SearchSpace) -> tuple[Objective, ...]:
    """What trainings are judged by, the first one first."""
    if task.table:
        return of_classes(space.classes)[:1]  # tables have no losses
    return of_classes(len(images_of(task).train.classes))


def stops_early(settings: SearchSettings, epochs: int) -> bool:
    """Whether trainings are stopped early: as was said, else only where it does not cost the best network.

    In short trainings the first readings rank networks too badly: simulated with the rank correlations that were measured,
    stopping by them costs the best network 0.2 to 0.6 points at equal epochs.
    """
    said = settings.early_stopping
    return settings.trials >= FEWEST_TRAININGS and epochs >= FEWEST_EPOCHS if said is None else said


def number_of_starts(settings: SearchSettings) -> int:
    """Networks that are trained before the sampler proposes any: as was said, else 10 and at most a third of the trainings."""
    return min(MOST_STARTS, settings.trials // 3) if settings.starts is None else settings.starts


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
    said = [] if task.table else images_of(task).train.notes
    return [f"{task.data}: {'; '.join(said)}."] if said else []


def images_in_words(task: TrainingTask) -> str:
    """The images that the trainings see, in a sentence."""
    if task.table:
        return f"{task.data}: results are looked up, nothing is trained"
    images = images_of(task)
    channels, height, width = images.train.shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    return (
        f"{task.data}: {len(images.train):,} {kind} images of {height}x{width} to learn from, "
        f"{len(images.validation):,} to validate on, {len(images.train.classes)} classes"
    )


def notes_on_classes(space: SearchSpace, task: TrainingTask, given: Contents | None) -> list[str]:
    """A sentence where the trainings see other classes or channels than the networks have.

    Args:
        space: that is searched.
        task: its proxy training.
        given: what is in the whole data set; None where nobody chose the images, which are a stand-in then.
    """
    if task.table:
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
