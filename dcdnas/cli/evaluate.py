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
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A config file, or the folder it is in.", show_default=False)],
    data: Annotated[str, typer.Option("-d", "--data", metavar="DATA", help="Images, like cifar10:DIR or folder:DIR.")],
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Safetensors; model.safetensors beside the config when left out.")
    ] = None,
    skip_damaged: SkipDamaged = None,
) -> None:
    """Test a trained network on the test images of a data set.

    Example:  dcdnas evaluate trained/quick-3/seed-0 -d fashion-mnist
    """
    from dcdnas.api import config_file, load
    from dcdnas.data import load as load_images
    from dcdnas.data import load_test, ordered_as
    from dcdnas.engine.planning.settings import share
    from dcdnas.errors import UsageError
    from dcdnas.export import read_model
    from dcdnas.training.full import best_device
    from dcdnas.training.loop import evaluate as judged

    model = read_model(config_file(config))
    network = load(config, weights)
    channels, height, _ = model.architecture.input
    test = load_test(load_images(data, height, 0, share(skip_damaged)))
    if test.shape[0] != channels or len(test.classes) != model.architecture.classes:
        raise UsageError(
            f"{data} has {test.shape[0]}-channel images of {len(test.classes)} classes; the network takes {channels} channels "
            f"and knows {model.architecture.classes} classes. Train it on {data} first: dcdnas train."
        )
    if model.labels:
        test = ordered_as(test, model.labels)
    else:
        out.note(f"Note: {config} does not name its classes; they are taken to be those of {data}, in its order.")
    if model.normalisation:
        test = replace(test, mean=model.normalisation.mean, std=model.normalisation.std)
    device = best_device()
    accuracy, loss = judged(network.to(device), test, device=device)
    error = math.sqrt(accuracy * (1 - accuracy) / len(test))
    out.document({"accuracy": accuracy, "standard_error": error, "loss": loss, "images": len(test), "data": data})
    said = f"{100 * accuracy:.2f} % (standard error {100 * error:.2f}) on {len(test):,} images of {data}"
    out.show(f"Test accuracy {said}; loss {loss:.4f}")
