"""Labelled images as a trained network takes them."""

from __future__ import annotations

from typing import NamedTuple

from dcdnas.cli._output import Output
from dcdnas.core.units import counted
from dcdnas.data import Images, at_size, load, load_test, ordered_as
from dcdnas.errors import UsageError
from dcdnas.training.judging import check_masks

NAMED = 5
"""Pictures, and classes, that a note names."""


class Wanted(NamedTuple):
    """What a network takes.

    Args:
        called: what it is called in a message.
        input: (C, H, W) of an image.
        classes: how many it knows.
        labels: their names; empty where it does not say them.
        pixels: whether it scores each pixel.
    """

    called: str
    input: tuple[int, int, int]
    classes: int
    labels: tuple[str, ...]
    pixels: bool = False


def labelled(out: Output, wanted: Wanted, data: str, skip: float, test: bool) -> Images:
    """The training or test part of a data set, at the network's size and with its order of the classes.

    Args:
        out: for a note where the network does not name its classes.
        wanted: what the network takes.
        data: name of the data set.
        skip: how many damaged pictures may be left out.
        test: whether it is the test part.

    Raises:
        UsageError: when the images are of other channels or another number of classes.
        DataError: when they are missing, damaged, or of other classes.
    """
    channels, height, width = wanted.input
    images = load(data, height, 0, skip)
    images = at_size(load_test(images) if test else images, height, width)
    if images.shape[0] != channels or len(images.classes) != wanted.classes:
        raise UsageError(
            f"{data} has images of {counted(images.shape[0], 'channel')} and {len(images.classes)} classes; the network takes "
            f"{counted(channels, 'channel')} and knows {wanted.classes} classes. Train it on {data} first: dcdnas train."
        )
    check_masks("the network", wanted.pixels, images)
    say_lacks(out, images, "test" if test else "train")
    if wanted.labels:
        return ordered_as(images, wanted.labels)
    out.note(f"Note: {wanted.called} does not name its classes; they are assumed to be those of {data}, in the same order.")
    return images


def say_lacks(out: Output, images: Images, part: str) -> None:
    """Says which damaged pictures were left out of a part of a data set, and of which classes it has nothing."""
    if images.damaged:
        more = f" And {len(images.damaged) - NAMED} more." if len(images.damaged) > NAMED else ""
        out.note(f"{images.name}, {part} part: {len(images.damaged)} damaged left out. {' '.join(images.damaged[:NAMED])}{more}")
    say_absent(out, images, part)


def say_absent(out: Output, images: Images, part: str) -> None:
    """Says of which classes a part of a data set has nothing."""
    if images.absent:
        more = f" and {len(images.absent) - NAMED} more" if len(images.absent) > NAMED else ""
        out.warn(f"Note: the {part} part of {images.name} has no images of {', '.join(images.absent[:NAMED])}{more}.")
