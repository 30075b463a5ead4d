"""`dcdnas train`: a found network trained in earnest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcdnas.cli._options import Assignments, SkipDamaged
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._source import Source as Found

__all__ = ["train"]

PANEL = "Networks"

Recipe = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="Of the training, see `dcdnas list recipes`; the run's when left out.")
]
Epochs = Annotated[int | None, typer.Option(metavar="N", min=1, help="Of each training; the recipe's, else 300, when left out.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Safetensors to begin with, or a trained network's folder to begin as, with other operators."
    ),
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
WorkersOption = Annotated[
    int,
    typer.Option("--workers", metavar="N", min=1, help="Processes of Ray Train that share a training, one core or GPU each."),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Trainings at one time, each a trial of Ray with a core or GPU.")
]
Front = Annotated[bool, typer.Option("--front", help="Train every network of a run's front.")]
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
    workers: WorkersOption = 1,
    jobs: JobsOption = 1,
    front: Front = False,
) -> None:
    """Train a network in earnest, from a run, a config or a published network, and test it.

    Each seed has a folder: config.yaml and model.safetensors, which `dcdnas.load` and `dcdnas export` take, epochs.csv, the
    attentions after each epoch for `dcdnas attention`, the weights of the best epoch, and the whole training as it was after
    the last epoch or when it was stopped (Ctrl-C, SIGTERM): the same command with --resume goes on from there. A tenth of the
    training images watches the training. The test images are checked before, and judged on once at the end, with the weights
    of the last epoch.

    Example:  dcdnas train quick -d fashion-mnist --epochs 60 --seeds 3
    """
    from dcdnas.cli._ready import Wanted
    from dcdnas.cli._training import say, train_network

    flags = [f"skip_damaged={skip_damaged}"] if skip_damaged else []
    flags += [] if patience is None else [f"patience={patience}"]
    numbers = range(seed, seed + seeds)
    wanted = Wanted(data, recipe, epochs, (*(assignments or ()), *flags), weights, teacher, numbers, resume, workers, jobs)
    found = [(one, folder_of(one, output, front)) for one in sources_of(source, trial, front)]
    speaking = out
    if jobs > 1 and seeds * len(found) > 1:
        from dcdnas.cli._at_once import Silent, train_all

        wanted, speaking = train_all(out, found, wanted), Silent(out)
    results = []
    for one, folder in found:
        results.append(train_network(speaking, one, wanted, folder))
        say(out, results[-1], folder)
    out.document({"networks": results} if front else results[0])


def folder_of(one: Found, output: Path | None, front: bool) -> Path:
    """Where a network's trainings are kept."""
    if output is None:
        return Path("trained") / one.name
    return output / one.name if front else output


def sources_of(source: str, trial: str, front: bool = False) -> list[Found]:
    """The networks that are meant: of a run, a config or a published one, or all of a run's front.

    Raises:
        UsageError: when there is none, or both a trial and the front are asked for.
    """
    from dcdnas.cli._source import Source, is_preset, open_source
    from dcdnas.errors import UsageError

    if front and trial:
        raise UsageError(f"--front trains all networks of the front, --trial {trial} is one. Leave one of them out.")
    if not is_preset(source):
        return open_source(source, "front" if front else trial)
    from dcdnas.published import architecture

    if front:
        raise UsageError(f"--front is of a run, and {source} is a published network. Leave --front out.")
    return [Source(source.replace("/", "-"), architecture(source))]
