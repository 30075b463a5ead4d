"""Options of `dcdnas train`, and everything that a network's trainings need, read and checked before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dcdnas.cli._labelled import images_of, say_absent, say_lacks, skipped
from dcdnas.cli._output import Output
from dcdnas.cli._recipe import task_of
from dcdnas.cli._source import Source as Found
from dcdnas.cli._start import start_of
from dcdnas.core.files import make_folder
from dcdnas.core.task import TrainingTask
from dcdnas.data import Images, Split, load_test, ordered_as, split
from dcdnas.export import Model
from dcdnas.training.full import VALIDATION, best_device, images_for
from dcdnas.training.starting import Start


@dataclass(frozen=True)
class Wanted:
    """How every network is trained.

    Args:
        data: name of the data set.
        recipe: name or file of a recipe; None for that of the run.
        epochs: epochs of each training; None for those of the recipe.
        assignments: ``KEY=VALUE`` settings that change the recipe.
        weights: weights to start from; None for a fresh initialisation.
        teacher: folder of a trained network; None for no distillation.
        seeds: seeds, one training each.
        resume: whether to continue trainings that are kept.
        workers: processes that share a training.
        jobs: trainings that run at the same time.
    """

    data: str
    recipe: str | None
    epochs: int | None
    assignments: Sequence[str]
    weights: Path | None
    teacher: Path | None
    seeds: Sequence[int]
    resume: bool
    workers: int
    jobs: int = 1


@dataclass(frozen=True)
class Ready:
    """Everything that a network's trainings need, checked before the first step."""

    task: TrainingTask
    images: Images
    parts: Split
    device: str
    start: Start


def ready_for(out: Output, found: Found, wanted: Wanted, folder: Path) -> Ready:
    """Reads and checks everything that the trainings of a network need, the test images included, and makes their folder.

    Raises:
        DcdnasError: when something is missing, damaged, or does not fit.
    """
    task = task_of(found.run, wanted.data, wanted.recipe, wanted.epochs, wanted.assignments)
    make_folder(folder)
    images = read_images(out, found, task)
    say_absent(out, images, "train")
    say_lacks(out, load_test(images), "test")
    start = start_of(out, found.architecture, images, wanted.weights, wanted.teacher)
    return Ready(task, images, split(images, VALIDATION), best_device(), start)


def read_images(out: Output, found: Found, task: TrainingTask, grey_range: float | None = None) -> Images:
    """Reads the training part of a data set for a network; prints a note if the network has to be adapted to the images.

    Args:
        out: output for the note.
        found: the network.
        task: names the data set.
        grey_range: as for `dcdnas.data.load`.
    """
    images, of = images_for(found.architecture, task, grey_range), found.architecture
    if images.notes:
        out.note(f"{task.data}: {'; '.join(images.notes)}.")
    if images.shape != of.input or len(images.classes) != of.classes:
        now, priced = ("x".join(map(str, shape)) for shape in (images.shape, of.input))
        out.warn(
            f"Note: the network is adapted to {now} images and {len(images.classes):,} classes; {found.name} is priced for "
            f"{priced} and {of.classes:,}."
        )
    return images


def as_told(model: Model, data: str) -> TrainingTask | None:
    """Names the images to look at: the given data set, else that of the network's training; None if neither is known."""
    name = data or images_of(model)
    return TrainingTask(data=name) if name else None


def images_as_trained(out: Output, found: Found, task: TrainingTask, model: Model, skip_damaged: str | None) -> Images:
    """Reads the training part of a data set in the class order, normalisation and grey range of a network's own training.

    Args:
        out: output for notes.
        found: the network.
        task: names the data set.
        model: what is known of the network's training.
        skip_damaged: number or share of damaged pictures that may be left out; None for that of the training.

    Raises:
        DataError: when the images are of other classes than those of the training.
    """
    task = replace(task, skip_damaged=skipped(model, skip_damaged))
    images, scale = read_images(out, found, task, model.grey_range), model.normalisation
    images = ordered_as(images, model.labels) if model.labels else images
    return replace(images, mean=scale.mean, std=scale.std) if scale else images
