"""Loads the images that `dcdnas export --quantize int8` calibrates an int8 model on and measures its accuracy with."""

from __future__ import annotations

from pathlib import Path

from dcdnas.cli._labelled import Wanted, images_of, labelled, skipped
from dcdnas.cli._output import Output
from dcdnas.data import Split, split
from dcdnas.errors import UsageError
from dcdnas.export import Model
from dcdnas.training.full import VALIDATION


def calibrating(out: Output, name: str, model: Model, trained: Path | None, data: str | None, skip_damaged: str | None) -> Split:
    """Loads the training images of a network, split into training and validation part as in `dcdnas train`.

    Args:
        out: output for notes about the images.
        name: name of the network in messages.
        model: the network and what is known of its training.
        trained: its weights; None if it is not trained.
        data: name of the data set; None for that of the training.
        skip_damaged: number or share of damaged pictures that may be left out; None for that of the training.

    Raises:
        UsageError: when the data set is not known, or the network is not trained.
    """
    name_of_images = data or images_of(model)
    if trained is None or not name_of_images:
        lacking = "trained weights (--weights)" if trained is None else "training images (-d DATA)"
        raise UsageError(f"--quantize int8 needs {lacking}, and {name} has none. Give them.")
    a = model.architecture
    wanted = Wanted(name, a.input, a.classes, model.labels, bool(a.head), model.grey_range)
    skip = skipped(model, skip_damaged)
    return split(labelled(out, wanted, name_of_images, skip, test=False), VALIDATION)
