"""`dcdnas train`: full training of a network."""

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
    str | None,
    typer.Option(metavar="NAME|FILE", help="Training recipe, see `dcdnas list recipes`; by default that of the run."),
]
Epochs = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Epochs of each training; by default those of --recipe, or 300.")
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Weights to start from: a safetensors file, or the folder of a trained network with other operators or sizes.",
    ),
]
TeacherOf = Annotated[
    Path | None,
    typer.Option("--teacher", metavar="MODEL", help="Folder of a trained network whose outputs are learnt, too (distillation)."),
]
Patience = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="End a training after N epochs without a better validation accuracy; 0 for never."),
]
Seeds = Annotated[int, typer.Option(metavar="N", min=1, help="Number of trainings, each with another seed.")]
FirstSeed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the first training; the others count up from it.")]
Which = Annotated[
    str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Trial of a run: its number, best (default) or knee.")
]
Folder = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to; by default trained/NAME.")
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", metavar="N", min=1, help="Processes that share each training (Ray Train), with one core or GPU each."
    ),
]
JobsOption = Annotated[
    int,
    typer.Option(
        "--jobs", "-j", metavar="N", min=1, help="Trainings that run at the same time, each as a Ray trial with one core or GPU."
    ),
]
Front = Annotated[bool, typer.Option("--front", help="Train every network on the run's front.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the trainings that are kept in the folder, if any.")]


def train(
    out: Output,
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|CONFIG|PRESET",
            help="A run, a model config, or a published network (`dcdnas list presets`).",
            show_default=False,
        ),
    ],
    data: Annotated[
        str, typer.Option("-d", "--data", metavar="DATA", help="Data set to train on, like cifar10:DIR or folder:DIR.")
    ],
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
    """Train a network fully, from a run, a config or a published network, and test it.

    Each seed has its own folder with config.yaml and model.safetensors, which `dcdnas.load` and `dcdnas export` read; epochs.csv;
    the attentions after each epoch, for `dcdnas attention`; the weights of the best epoch; and the complete state of the training
    after its last epoch or when it was stopped (Ctrl-C, SIGTERM), from which the same command with --resume continues. A tenth of
    the training images is the validation split. The test images are checked before the training, and used once at its end, with
    the weights of the last epoch.

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
    """Folder in which a network's trainings are kept."""
    if output is None:
        return Path("trained") / one.name
    return output / one.name if front else output


def sources_of(source: str, trial: str, front: bool = False) -> list[Found]:
    """Opens the network of a run, a config or a preset, or all networks on a run's front.

    Raises:
        UsageError: when there is no such network, both a trial and the front are given, or either of a preset.
    """
    from dcdnas.cli._source import Source, is_preset, open_source
    from dcdnas.errors import UsageError

    if trial == "front":
        raise UsageError("--trial front is several networks. Train all of them with --front alone.")
    if front and trial:
        raise UsageError(f"--front trains all networks of the front, --trial {trial} is one. Leave one of them out.")
    if not is_preset(source):
        return open_source(source, "front" if front else trial)
    from dcdnas.published import architecture

    chosen = "--front" if front else "--trial" if trial else ""
    if chosen:
        raise UsageError(f"{chosen} needs a run, and {source} is a published network. Leave {chosen} out.")
    return [Source(source.replace("/", "-"), architecture(source))]
