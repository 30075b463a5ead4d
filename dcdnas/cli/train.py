"""`dcdnas train`: a found network trained in earnest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import Assignments, SkipDamaged
from dcdnas.cli._output import Output
from dcdnas.core.units import counted

if TYPE_CHECKING:
    from dcdnas.cli._source import Source as Found
    from dcdnas.core.objective import Objective
    from dcdnas.core.task import TrainingTask
    from dcdnas.data import Images, Split
    from dcdnas.training.full import Trained

__all__ = ["train"]

PANEL = "Networks"

RESULT = "result.json"


Recipe = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="Of the training, see `dcdnas list recipes`; the run's when left out.")
]
Epochs = Annotated[int | None, typer.Option(metavar="N", min=1, help="Of each training; the recipe's, else 300, when left out.")]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Safetensors to begin with; a classifier for other classes begins anew.")
]
TeacherOf = Annotated[
    Path | None, typer.Option("--teacher", metavar="MODEL", help="Folder of a trained network, whose answers are learnt as well.")
]
Patience = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="End after N epochs without a better validation accuracy; 0 for never.")
]
Seeds = Annotated[int, typer.Option(metavar="N", min=1, help="Trainings, each on a seed of its own.")]
FirstSeed = Annotated[int, typer.Option(metavar="N", min=0, help="The first one.")]
Which = Annotated[str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Which of a run; the best when left out.")]
Folder = Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where to; trained/NAME when left out.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is kept there, if anything is.")]


def train(
    out: Output,
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|CONFIG|PRESET", help="A run, a model config's file, or a published network.", show_default=False
        ),
    ],
    data: Annotated[str, typer.Option("-d", "--data", metavar="DATA", help="Images, like cifar10:DIR or folder:DIR.")],
    recipe: Recipe = None,
    epochs: Epochs = None,
    patience: Patience = None,
    weights: Weights = None,
    teacher: TeacherOf = None,
    seeds: Seeds = 1,
    seed: FirstSeed = 0,
    trial: Which = "",
    skip_damaged: SkipDamaged = None,
    assignments: Assignments = None,
    output: Folder = None,
    resume: Resume = False,
) -> None:
    """Train a network in earnest, from a run, a config or a published network, and test it.

    Each seed has a folder: config.yaml and model.safetensors, which `dcdnas.load` and `dcdnas export` take, epochs.csv, the
    weights of the best epoch, and the whole training as it was after the last epoch or when it was stopped (Ctrl-C,
    SIGTERM): the same command with --resume goes on from there. A tenth of the training images watches the training. The
    test images are checked before, and judged on once at the end, with the weights of the last epoch.

    Example:  dcdnas train quick -d fashion-mnist --epochs 60 --seeds 3
    """
    from dcdnas.cli._recipe import task_of
    from dcdnas.cli._start import start_of
    from dcdnas.cli._training_progress import watching
    from dcdnas.core.files import make_folder
    from dcdnas.data import load_test, split
    from dcdnas.training.full import VALIDATION, best_device, judged_on_test, train_seeds

    found = source_of(source, trial)
    provenance = found.model().provenance
    flags = [f"skip_damaged={skip_damaged}"] if skip_damaged else []
    flags += [] if patience is None else [f"patience={patience}"]
    task = task_of(found.run, data, recipe, epochs, [*(assignments or ()), *flags])
    folder = output or Path("trained") / found.name
    make_folder(folder)  # so that one that cannot be written is said before the trainings
    images = read_images(out, found, task)
    load_test(images)  # so that a damaged or missing test part is said before them, too
    device = best_device()
    parts = split(images, VALIDATION)
    start = start_of(out, found.architecture, images, weights, teacher)
    announce(out, found.name, task, parts, f"{counted(seeds, 'seed')}, on {device}")

    def write(one: Trained) -> Path:
        return write_network(one, provenance, images, task, folder)

    numbers = range(seed, seed + seeds)
    with watching(out, task, numbers, write) as watcher:
        trained = train_seeds(found.architecture, parts, task, numbers, folder, watcher, resume, device, start)
    tested = judged_on_test(trained, images, device)
    finish(out, found.name, [(one, write(one)) for one in tested], task, folder)


def announce(out: Output, name: str, task: TrainingTask, images: Split, how: str) -> None:
    """Says what is going to be trained."""
    size = f"{len(images.train):,} images, {counted(task.epochs, 'epoch')}"
    out.note(f"Training {name} on {task.data}: {size}, {how}")
    if task.norm_batches:
        out.note(f"Read with BatchNorm statistics of {task.norm_batches} batches of unaugmented training images")


def source_of(source: str, trial: str) -> Found:
    """The network that is meant: of a run, a config or a published one.

    Raises:
        UsageError: when there is none.
    """
    from dcdnas.cli._source import Source, is_preset, open_source

    if not is_preset(source):
        return open_source(source, trial)[0]
    from dcdnas.published import architecture

    return Source(source.replace("/", "-"), architecture(source))


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


def objective_of(one: Trained) -> Objective:
    """What a trained network is judged by first."""
    from dcdnas.tasks import OBJECTIVES

    return OBJECTIVES[one.network.architecture.head][0]


def in_words(objective: str) -> str:
    """An objective's name in a sentence."""
    return objective.replace("_iou", " IoU")


def write_network(one: Trained, provenance: Mapping[str, Any], images: Images, task: TrainingTask, folder: Path) -> Path:
    """Writes a network that was trained into its seed's folder, with all that is known of it.

    Args:
        one: the network, and what it reached.
        provenance: where it comes from, before this training.
        images: that it was trained on.
        task: the recipe.
        folder: of all seeds.

    Returns:
        The seed's folder.
    """
    from dcdnas.export import WEIGHTS, Model, Normalisation, save_weights, write_config

    place = folder / f"seed-{one.seed}"
    name = objective_of(one).name
    reached = {f"validation_{name}": one.score.values[name], f"test_{name}": one.test.get(name)}
    training = {**asdict(replace(task, seed=one.seed)), **reached}
    normalisation = Normalisation(images.mean, images.std)
    model = Model(one.network.architecture, {**provenance, "training": training}, normalisation, images.classes)
    write_config(model, place / "config.yaml")
    save_weights(one.network, place / WEIGHTS, model.metadata())
    return place


def finish(out: Output, name: str, written: Sequence[tuple[Trained, Path]], task: TrainingTask, folder: Path) -> None:
    """Writes and says how good the networks are that were trained, tested and written to their folders."""
    from dcdnas.core.files import write_whole
    from dcdnas.export import WEIGHTS
    from dcdnas.training.full import mean_and_spread

    objective = objective_of(written[0][0])
    on_test, on_validation = f"test_{objective.name}", f"validation_{objective.name}"
    rows: list[dict[str, Any]] = [
        {
            "seed": one.seed, on_test: one.test[objective.name], on_validation: one.score.values[objective.name],
            "epochs": one.score.epochs, "seconds": one.score.seconds, "folder": str(place),
        }
        for one, place in written
    ]  # fmt: skip
    mean, spread = mean_and_spread([row[on_test] for row in rows])
    result = {"network": name, "data": task.data, on_test: mean, "standard_deviation": spread, "trainings": rows}
    write_whole(folder / RESULT, json.dumps(result, indent=2) + "\n")
    out.document(result)
    more = f" ± {100 * spread:.1f}" if spread is not None else ""
    out.show(f"Test {in_words(objective.name)} {100 * mean:.1f}{more} % over {counted(len(rows), 'seed')} ({task.data})")
    out.show(f"Files         {folder}/: {RESULT}, seed-N/config.yaml, seed-N/{WEIGHTS}, seed-N/epochs.csv")
