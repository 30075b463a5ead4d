"""`dcdnas evaluate`: a trained network on test images."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dcdnas.cli._options import SkipDamaged
from dcdnas.cli._output import Output

__all__ = ["evaluate"]

PANEL = "Networks"


def evaluate(
    out: Output,
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A trained or exported folder, its config, or an ONNX model.", show_default=False),
    ],
    data: Annotated[str, typer.Option("-d", "--data", metavar="DATA", help="Images, like cifar10:DIR or folder:DIR.")],
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Safetensors; model.safetensors beside the config when left out.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write evaluation.json, classes.csv, confusion.csv and .svg there."),
    ] = None,
    skip_damaged: SkipDamaged = None,
) -> None:
    """Test a trained network on the test images of a data set.

    Accuracy, F1 and the confusion matrix class by class, how far its probabilities hold (ECE: expected calibration error over 15
    bins of confidence), and how many images it takes a second. Intervals are of 95 %, over other images of the same kind. Of a
    network that scores pixels, the mean IoU and the loss on images with masks.

    Examples:  dcdnas evaluate trained/quick-3/seed-0 -d fashion-mnist  |  dcdnas evaluate model.onnx -d cifar10:/data -o judged
    """
    from dcdnas.analysis.judgement import judged
    from dcdnas.cli import _evaluation as shown
    from dcdnas.cli._labelled import Wanted, labelled
    from dcdnas.engine.planning.settings import share
    from dcdnas.export import open_network, speed_of

    if scores_pixels(model):
        _masks(out, model, data, weights, output, share(skip_damaged))
        return
    opened = open_network(model, weights)
    wanted = Wanted(str(opened.path), opened.input, opened.classes, opened.labels)
    test = labelled(out, wanted, data, share(skip_damaged), test=True)
    labels, names = test.labels[test.rows], opened.labels or test.classes
    found = judged(opened.outputs(test).numpy(), labels.numpy())
    speed = speed_of(opened)
    error = math.sqrt(found.top1.value * (1 - found.top1.value) / found.images)
    said = shown.document(
        found, names, {"standard_error": error, "data": data, "model": str(opened.path), "throughput": speed.to_dict()}
    )
    out.show(f"Test of {opened.path} on {found.images:,} images of {data}", *shown.lines(found), f"Speed      {speed}")
    out.show(shown.class_sheet(found, names), shown.confusion_sheet(found, names))
    title = f"{opened.path} on {found.images:,} images of {data}: {100 * found.top1.value:.2f} % right"
    for path in shown.write(output, found, names, said, title) if output else ():
        out.show(f"Written    {path}")
    out.document(said)


def scores_pixels(model: Path) -> bool:
    """Whether a folder or a config is of a network with a head that scores pixels."""
    from dcdnas.export import config_file, read_model

    config = config_file(model)
    return model.suffix != ".onnx" and config.is_file() and bool(read_model(config).architecture.head)


def _masks(out: Output, model: Path, data: str, weights: Path | None, output: Path | None, skip: float) -> None:
    """What a network that scores pixels reaches on test images with masks."""
    from dcdnas.api import load
    from dcdnas.cli._labelled import Wanted, labelled
    from dcdnas.cli._training import in_words
    from dcdnas.errors import UsageError
    from dcdnas.export import config_file, read_model
    from dcdnas.training.full import best_device
    from dcdnas.training.loop import evaluate as judged

    if output:
        raise UsageError(f"-o {output}: the files are those of a classifier, and {model} scores pixels. Leave -o out.")
    found, network = read_model(config_file(model)), load(model, weights)
    a = found.architecture
    test = labelled(out, Wanted(str(model), a.input, a.classes, found.labels, a.head), data, skip, test=True)
    if found.normalisation:
        test = replace(test, mean=found.normalisation.mean, std=found.normalisation.std)
    device = best_device()
    reached = judged(network.to(device), test, device=device)
    (name, value), loss = next(iter(reached.items())), reached["loss"]
    out.document({name: value, "loss": loss, "images": len(test), "data": data})
    out.show(f"Test {in_words(name)} {100 * value:.2f} % on {len(test):,} images of {data}; loss {loss:.4f}")
