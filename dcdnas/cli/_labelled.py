"""Loads labelled images in the form that a trained network takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dcdnas.cli._output import Output
from dcdnas.core.task import OWN, TABLE
from dcdnas.core.units import counted
from dcdnas.data import Images, load_sized, load_test, open_source, ordered_as
from dcdnas.engine.planning.settings import share
from dcdnas.errors import UsageError
from dcdnas.export import Model
from dcdnas.training.full import DECODED
from dcdnas.training.judging import check_masks

NAMED = 5
"""Largest number of pictures, or of classes, that a note names."""


class Wanted(NamedTuple):
    """The images that a network takes.

    Args:
        called: name of the network in messages.
        input: (C, H, W) of an image.
        classes: number of classes.
        labels: names of the classes; empty where they are not known.
        pixels: whether the network scores each pixel.
        grey_range: value that becomes 255 in grey pictures of more than 8 bits; None where it is not known.
    """

    called: str
    input: tuple[int, int, int]
    classes: int
    labels: tuple[str, ...]
    pixels: bool = False
    grey_range: float | None = None


def labelled(out: Output, wanted: Wanted, data: str, skip: float, test: bool) -> Images:
    """Loads the training or test part of a data set, at the network's size, in its grey range and in its order of the classes.

    Pictures in files are read as needed when the decoded ones would take too much memory.

    Args:
        out: output for a note if the network does not name its classes, or not the grey range that the images need.
        wanted: the images that the network takes.
        data: name of the data set.
        skip: number or share of damaged pictures that may be left out.
        test: whether to load the test part.

    Raises:
        UsageError: when the images have other channels or another number of classes than the network, or are pictures in files
            and the network's input is not square.
        DataError: when they are missing, damaged, or of other classes.
    """
    channels, height, width = wanted.input
    if height != width and open_source(data).DECODES:
        raise UsageError(
            f"{wanted.called} takes images of {height}x{width} pixels, and pictures in files are cut to squares. Give arrays of "
            "that size, like npz:FILE."
        )
    images = load_sized(data, height, width, 0, skip, DECODED, wanted.grey_range)
    images = load_test(images) if test else images
    if images.shape[0] != channels or len(images.classes) != wanted.classes:
        raise UsageError(
            f"{data} has images of {counted(images.shape[0], 'channel')} and {len(images.classes)} classes; the network takes "
            f"{counted(channels, 'channel')} and knows {wanted.classes} classes. Train it on {data} first: dcdnas train."
        )
    check_masks("the network", wanted.pixels, images)
    say_lacks(out, images, "test" if test else "train")
    if images.grey_range and not wanted.grey_range:
        out.warn(
            f"Note: {wanted.called} does not record the range of grey pictures with more than 8 bits in its training. Those of "
            f"{data} are scaled by their own range, 0 to {images.grey_range:g}; a training on such pictures records theirs."
        )
    if wanted.labels:
        return ordered_as(images, wanted.labels)
    out.note(f"Note: {wanted.called} does not name its classes; they are assumed to be those of {data}, in the same order.")
    return images


def recipe_of(model: Model) -> Mapping[str, Any]:
    """The recipe of a network's training, else that of the short training of a search; empty if it is not known."""
    known = model.provenance.get("training") or model.provenance.get("recipe")
    return known if isinstance(known, Mapping) else {}


def images_of(model: Model) -> str:
    """Name of the data set that a network was trained on; empty if it is not known, or if only the user's own task knows it."""
    said = recipe_of(model).get("data")
    return said if isinstance(said, str) and not said.startswith((OWN, TABLE)) else ""


def skipped(model: Model, said: str | None) -> float:
    """Number or share of damaged pictures that may be left out.

    Args:
        model: the network and what is known of its training.
        said: as given on the command line; None for that of the training.
    """
    of_training = recipe_of(model).get("skip_damaged")
    as_trained = float(of_training) if isinstance(of_training, (int, float)) else 0.0
    return as_trained if said is None else share(said)


def say_lacks(out: Output, images: Images, part: str) -> None:
    """Reports which damaged pictures were left out of a part of a data set, and which classes have no images in it."""
    say_damaged(out, images.name, part, images.damaged)
    say_absent(out, images, part)


def say_damaged(out: Output, name: str, part: str, damaged: Sequence[str]) -> None:
    """Reports which damaged pictures were left out of a part of a data set, one sentence each; nothing if there are none."""
    if damaged:
        more = f" And {len(damaged) - NAMED} more." if len(damaged) > NAMED else ""
        out.note(f"{name}, {part} part: {len(damaged)} damaged left out. {' '.join(damaged[:NAMED])}{more}")


def say_absent(out: Output, images: Images, part: str) -> None:
    """Reports which classes have no images in a part of a data set."""
    if images.absent:
        more = f" and {len(images.absent) - NAMED} more" if len(images.absent) > NAMED else ""
        out.warn(f"Note: the {part} part of {images.name} has no images of {', '.join(images.absent[:NAMED])}{more}.")
