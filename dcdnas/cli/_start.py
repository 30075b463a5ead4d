"""Start of a full training, from the command line: initial weights, and a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcdnas.api import load
from dcdnas.cli._output import Output
from dcdnas.core.architecture import Architecture
from dcdnas.core.units import counted
from dcdnas.data import Images
from dcdnas.errors import UsageError
from dcdnas.export import config_file, read_model
from dcdnas.networks import build_network
from dcdnas.training.distillation import Teacher
from dcdnas.training.full import fitted
from dcdnas.training.inheritance import inherited
from dcdnas.training.judging import check_masks
from dcdnas.training.starting import CLASSIFIERS, Start, weights_for


def start_of(out: Output, architecture: Architecture, images: Images, weights: Path | None, teacher: Path | None) -> Start:
    """Reads the weights and the teacher that the trainings start from.

    Raises:
        FileError: when the weights belong to another network.
        UsageError: when the teacher has other channels or classes than the images, or the trained network another backbone.
    """
    known: dict[str, Any] = {}
    if weights and weights.is_dir():
        known = taken_over(out, architecture, images, weights)
    elif weights:
        network = build_network(fitted(architecture, images))
        known, fresh = weights_for(network, weights, images.classes)
        also = (
            f"; {', '.join(fresh)} are initialised afresh, because they are for other classes or another order of them"
            if fresh
            else ""
        )
        out.note(f"Starting from the weights of {weights}{also}")
    return Start(known, teacher_of(out, teacher, images) if teacher else None)


def taken_over(out: Output, architecture: Architecture, images: Images, path: Path) -> dict[str, Any]:
    """Initial weights taken over from a trained network with other operators or sizes.

    The classifier's are left out if the trained network has other classes or orders them differently. Where it does not name its
    classes, as many are taken to be the same ones, as `weights_for` does.

    Raises:
        UsageError: when the trained network has another backbone.
    """
    model = read_model(config_file(path))
    theirs, mine = model.architecture.network, architecture.network
    if theirs != mine:
        raise UsageError(f"--weights {path}: is a {theirs}, whose weights a {mine} cannot take over. Allowed: a trained {mine}.")
    known, fresh = inherited(build_network(fitted(architecture, images)), load(path))
    same = model.architecture.classes == len(images.classes) and model.labels in ((), images.classes)
    last = [name for name in known if name.startswith(CLASSIFIERS)] if not same else []
    layers = [*fresh, *dict.fromkeys(name.rpartition(".")[0] for name in last)]
    anew = f"; initialised afresh: {named(layers)}" if layers else ""
    out.note(f"Starting from the network of {path}{anew}")
    return {name: tensor for name, tensor in known.items() if name not in last}


def named(layers: Sequence[str], most: int = 5) -> str:
    """Names the first layers, and the number of the others."""
    more = [f"{len(layers) - most:,} more"] if len(layers) > most else []
    return ", ".join([*layers[:most], *more])


def teacher_of(out: Output, path: Path, images: Images) -> Teacher:
    """Loads a trained network as the teacher for a training on these images.

    Raises:
        UsageError: when the teacher has other channels or classes, the same classes in another order, or another range of grey
            values, or when it scores pixels and the images have no masks, or the other way round.
    """
    model = read_model(config_file(path))
    check_masks(f"--teacher {path}", bool(model.architecture.head), images)
    wanted = images.shape[0], len(images.classes)
    if (model.architecture.input[0], model.architecture.classes) != wanted:
        raise UsageError(
            f"--teacher {path}: takes {counted(model.architecture.input[0], 'channel')} and knows {model.architecture.classes:,} "
            f"classes; {images.name} has {wanted[0]} and {wanted[1]:,}. Allowed: a network trained on the same data."
        )
    if model.labels and tuple(model.labels) != images.classes:
        raise UsageError(
            f"--teacher {path}: has other classes than {images.name}, or another order of them. Train it on that data set."
        )
    ranges = model.grey_range, images.grey_range
    if None not in ranges and ranges[0] != ranges[1]:
        raise UsageError(
            f"--teacher {path}: was trained on grey pictures whose value {ranges[0]:g} is read as 255; in {images.name} that is "
            f"{ranges[1]:g}. Train it on that data set."
        )
    if images.grey_range and not model.grey_range:
        out.warn(
            f"Note: --teacher {path} does not record the range of grey pictures with more than 8 bits in its training. Like the "
            f"new network, it receives those of {images.name} scaled from 0 to {images.grey_range:g}."
        )
    size, ours = ("x".join(map(str, shape[1:])) for shape in (model.architecture.input, images.shape))
    if size != ours:
        out.warn(
            f"Note: --teacher {path} was trained on images of {size} pixels. Like the new network, it receives those of "
            f"{images.name} at {ours}."
        )
    normalisation = model.normalisation
    mean, std = (normalisation.mean, normalisation.std) if normalisation else (images.mean, images.std)
    return Teacher(load(path), mean, std)
