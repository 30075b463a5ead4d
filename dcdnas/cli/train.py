"""`dcdnas train`: a found network trained in earnest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import Assignments, SkipDamaged, Source
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._source import Source as Found
    from dcdnas.core.task import TrainingTask
    from dcdnas.core.trial import EpochResult
    from dcdnas.data import Images
    from dcdnas.training.full import Trained

__all__ = ["train"]

PANEL = "Networks"

RESULT = "result.json"


def train(
    out: Output,
    source: Source,
    data: Annotated[str, typer.Option("-d", "--data", metavar="DATA", help="Images, like cifar10:DIR or folder:DIR.")],
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="Of each training.")] = 300,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Trainings, each on a seed of its own.")] = 1,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The first one.")] = 0,
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Which of a run; the best when left out.")
    ] = "",
    skip_damaged: SkipDamaged = None,
    assignments: Assignments = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where to; trained/NAME when left out.")
    ] = None,
) -> None:
    """Train a network in earnest, from a run or a config, and test it.

    Writes a folder a seed with config.yaml and model.safetensors, which `dcdnas.load` and `dcdnas export` take, and result.json.
    A tenth of the training images watches the training. The test images are checked before, and judged on once at the end.

    Example:  dcdnas train quick -d fashion-mnist --epochs 60 --seeds 3
    """
    from dcdnas.cli._source import open_source
    from dcdnas.core.files import make_folder
    from dcdnas.core.units import counted
    from dcdnas.data import load_test, split
    from dcdnas.training.full import VALIDATION, best_device, judged_on_test, train_seeds

    found = open_source(source, trial)[0]
    flags = [f"skip_damaged={skip_damaged}"] if skip_damaged else []
    task = recipe(found, data, epochs, [*(assignments or ()), *flags])
    images = read_images(out, found, task)
    load_test(images)  # so that a damaged or missing test part is said before the trainings, not after
    folder = output or Path("trained") / found.name
    make_folder(folder)  # so that one that cannot be written is said before the trainings, too
    device = best_device()
    parts = split(images, VALIDATION)
    size = f"{len(parts.train):,} images, {counted(epochs, 'epoch')}, {counted(seeds, 'seed')}"
    out.note(f"Training {found.name} on {data}: {size}, on {device}")

    if task.norm_batches:
        out.note(f"Read with BatchNorm statistics of {task.norm_batches} batches of unaugmented training images")

    def told(number: int, report: EpochResult) -> None:
        out.note(f"seed {number} epoch {report.epoch}/{epochs}: {100 * report.accuracy:.1f} %, {report.seconds:.0f} s")

    trained = train_seeds(found.architecture, parts, task, range(seed, seed + seeds), told, device)
    finish(out, found, judged_on_test(trained, images, device), images, task, folder)


def recipe(found: Found, data: str, epochs: int, assignments: Sequence[str]) -> TrainingTask:
    """The run's recipe with these images and epochs; ``--set`` changes the rest.

    Raises:
        UsageError: for a setting that is no part of a recipe, or cannot be used.
    """
    from dcdnas.core.task import TrainingTask
    from dcdnas.engine.planning import RECIPE
    from dcdnas.engine.planning.settings import SearchSettings
    from dcdnas.errors import UnknownNameError

    known = {k: v for k, v in dict(found.run.config.get("task", {})).items() if k in RECIPE} if found.run else {}
    for text in assignments:
        name = text.partition("=")[0].strip().replace("-", "_")
        if name not in RECIPE:
            raise UnknownNameError("part of a recipe", name, RECIPE)
    said = SearchSettings.gather({}, assignments, project=False)
    changes = {name: getattr(said, name) for name in RECIPE if getattr(said, name) is not None}
    return TrainingTask(**{**known, "resolution": 0, "classes": 0, "data": data, "epochs": epochs, **changes})


def read_images(out: Output, found: Found, task: TrainingTask) -> Images:
    """The training part for a network; says when the network has to be adapted to it."""
    from dcdnas.training.full import images_for

    images, of = images_for(found.architecture, task), found.architecture
    if images.notes:
        out.note(f"{task.data}: {'; '.join(images.notes)}.")
    if images.shape != of.input or len(images.classes) != of.classes:
        now, priced = ("x".join(map(str, shape)) for shape in (images.shape, of.input))
        out.warn(
            f"Note: the network is adapted to {now} images and {len(images.classes):,} classes; {found.name} is priced for "
            f"{priced} and {of.classes:,}."
        )
    return images


def finish(out: Output, found: Found, trained: Sequence[Trained], images: Images, task: TrainingTask, folder: Path) -> None:
    """Writes what was trained and says how good it is."""
    from dcdnas.core.files import write_whole
    from dcdnas.export import WEIGHTS, Model, Normalisation, save_weights, write_config
    from dcdnas.training.full import mean_and_spread

    rows: list[dict[str, Any]] = []
    for one in trained:
        place = folder / f"seed-{one.seed}"
        rows.append({
            "seed": one.seed, "test_accuracy": one.test_accuracy, "validation_accuracy": one.score.accuracy,
            "epochs": one.score.epochs, "seconds": one.score.seconds, "folder": str(place),
        })  # fmt: skip
        training = {**asdict(replace(task, seed=one.seed)), "test_accuracy": one.test_accuracy}
        provenance = {**found.model().provenance, "training": training}
        model = Model(one.network.architecture, provenance, Normalisation(images.mean, images.std), images.classes)
        write_config(model, place / "config.yaml")
        save_weights(one.network, place / WEIGHTS, model.metadata())
    mean, spread = mean_and_spread([one.test_accuracy or 0.0 for one in trained])
    result = {"network": found.name, "data": task.data, "test_accuracy": mean, "standard_deviation": spread, "trainings": rows}
    write_whole(folder / RESULT, json.dumps(result, indent=2) + "\n")
    out.document(result)
    more = f" ± {100 * spread:.1f}" if spread is not None else ""
    out.show(f"Test accuracy {100 * mean:.1f}{more} % over {len(rows)} seed{'s' if len(rows) > 1 else ''} ({task.data})")
    out.show(f"Files         {folder}/: {RESULT}, seed-N/config.yaml, seed-N/{WEIGHTS}")
