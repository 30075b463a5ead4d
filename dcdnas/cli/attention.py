"""`dcdnas attention`: measures how dynamic each layer of a trained network is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcdnas.cli._options import SkipDamagedAsInTraining, Source
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._source import Source as Found
    from dcdnas.core.dynamics import Attentions
    from dcdnas.core.task import TrainingTask
    from dcdnas.core.trial import EpochResult

__all__ = ["attention"]

PANEL = "Networks"


def attention(
    out: Output,
    source: Source,
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Trial of a run: its number, best (default) or knee.")
    ] = "",
    data: Annotated[
        str,
        typer.Option("-d", "--data", metavar="DATA", help="Data set of the images; by default that of the run or the training."),
    ] = "",
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", metavar="FILE", help="Trained weights (safetensors); without them a run's trial is trained again."
        ),
    ] = None,
    images: Annotated[int, typer.Option(metavar="N", min=2, help="Number of validation images.")] = 512,
    skip_damaged: SkipDamagedAsInTraining = None,
) -> None:
    """Measure how much the attentions of each layer, and with them its output, depend on the image.

    The weights are those of --weights, or those beside a config; a run's trial without --weights is trained again exactly as in
    the search. How the attentions evolved over the training is shown for a trial that is trained again, and for a training of
    `dcdnas train`, which records it beside its weights. The result for a run's trial is kept in the run and shown on its page.

    Example:  dcdnas attention quick --trial best
    """
    from dcdnas.cli._attention_table import attention_table, course_table
    from dcdnas.cli._source import open_source
    from dcdnas.errors import UsageError
    from dcdnas.results.attention import write_attentions

    if trial == "front":
        raise UsageError("--trial front is several networks, and one is measured. Give a trial's number, best or knee.")
    found = open_source(source, trial)[0]
    check_classifier(found)
    weights = weights or found.weights
    read = data, skip_damaged
    result = with_weights(out, found, *read, weights, images) if weights else trained_again(out, found, *read, images)
    out.document({"name": found.name, **asdict(result)})
    right = f"{100 * result.accuracy:.1f} % of the validation images right"
    out.show(f"{found.name}: {result.weights}; {right}")
    out.show(attention_table(result.layers) if result.layers else "All layers are static.")
    if result.course:
        out.show(course_table(result.course))
    if found.run and found.trial:
        path = write_attentions(found.run.folder, found.trial.number, result)
        out.note(f"Kept in {path}; the trial's page shows it.")


def check_classifier(found: Found) -> None:
    """Checks that a network is a classifier.

    Raises:
        UsageError: when the network scores pixels, because attentions are measured in classifiers only.
    """
    from dcdnas.errors import UsageError

    if found.architecture.head:
        raise UsageError(f"{found.name} scores pixels ({found.architecture.named}). Allowed: one that classifies whole images.")


def with_weights(out: Output, found: Found, data: str, skip_damaged: str | None, weights: Path, count: int) -> Attentions:
    """Measures the attentions of a network whose trained weights are in a file.

    Raises:
        UsageError: when the data set is not known, or only the user's own task knows it.
        DataError: when the images are of other classes than the network was trained on.
        FileError: when the weights cannot be read, or belong to another network.
    """
    from dcdnas.analysis.attention import attentions
    from dcdnas.cli._ready import as_told, images_as_trained
    from dcdnas.engine.repeat import task_of
    from dcdnas.errors import UsageError
    from dcdnas.export import as_trained, load_trained
    from dcdnas.training.attentions import FILE, readings_in

    model = found.model()
    if found.run and found.trial and not data:
        task: TrainingTask | None = task_of(found.run.folder, found.trial)
    else:
        task = as_told(model, data)
    if task is None:
        raise UsageError(f"{found.name} does not say which images it is for. Name some with -d, like -d fashion-mini.")
    images = images_as_trained(out, found, task, as_trained(model, weights, found.path), skip_damaged)
    network, validation = load_trained(found.architecture, images, weights)
    readings = readings_in(weights.with_name(FILE))
    return attentions(network, validation, count, f"weights of {weights}", readings)


def trained_again(out: Output, found: Found, data: str, skip_damaged: str | None, count: int) -> Attentions:
    """Trains a run's trial again as in the search and measures its attentions.

    Raises:
        UsageError: when the trial was not trained, or was trained on other images than these.
    """
    from dcdnas.analysis.attention import attentions
    from dcdnas.core.units import counted
    from dcdnas.engine.repeat import repeat_training, task_of
    from dcdnas.errors import UsageError
    from dcdnas.training.full import best_device

    trial = found.trial
    if not (found.run and trial and trial.score):
        what = f"trial {trial.number} was not trained" if trial else f"there are no weights beside {found.path}"
        raise UsageError(f"{found.name}: {what}. Give weights with --weights, as `dcdnas train` writes them.")
    task = task_of(found.run.folder, trial)
    if data and data != task.data:
        raise UsageError(f"-d {data}: the search trained on {task.data}. Leave -d out, or give weights with --weights.")
    if skip_damaged is not None:
        raise UsageError(
            f"--skip-damaged {skip_damaged}: the training is repeated as in the search, which allowed {task.skip_damaged:g}. "
            "Leave --skip-damaged out, or give weights with --weights."
        )
    out.note(f"Training trial {trial.number} again as in the search: {counted(task.epochs, 'epoch')} on {task.data}")

    def told(report: EpochResult) -> bool:
        out.note(f"epoch {report.epoch}/{task.epochs}: {100 * report.values['accuracy']:.1f} %")
        return True

    again = repeat_training(trial, task, told, best_device())
    then, now = trial.score.values["accuracy"], again.score.values["accuracy"]
    agrees = "to the same accuracy" if abs(now - then) < 1e-9 else f"where the search reached {100 * then:.1f} %"
    words = f"trained again as in the search, seed {task.seed}, {agrees}"
    return attentions(again.network, again.validation, count, words, again.readings)
