"""The contract of a data source, checked on real images; a small part of the data set in a test folder is enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from dcdnas.core.plugins import require, rules_of
from dcdnas.data import Raw, Source, checked
from dcdnas.errors import DataError
from dcdnas.testing.rules import kept

SIDE = 8
"""Side of the images that are requested from a source that decodes pictures of any size."""


def check_source(source: type[Source], argument: str | Path = "") -> None:
    """Checks a data source by the rules that the package's own sources keep.

    Args:
        source: the class.
        argument: location of its images, as after the colon of ``-d NAME:ARGUMENT``.

    Raises:
        ContractError: at the first broken rule, with what was found.
    """
    what = f"{source.__name__}({str(argument)!r})"
    kept(f"{what}: the rules of a data source", partial(rules_of("data source"), "", source))
    for rule, check in RULES.items():
        kept(f"{what}: {rule}", partial(check, source, str(argument)))


def reads_both_parts(source: type[Source], argument: str) -> None:
    """Both parts are uint8 images (N, C, H, W) with a label or a mask each, and have the same classes and channels."""
    train, test = (checked(f"{part} part", _read(source, argument, part)) for part in ("train", "test"))
    require(train.classes == test.classes, f"the classes are {train.classes[:5]} and {test.classes[:5]}")
    require(len(set(train.classes)) == len(train.classes), "the name of a class occurs twice")
    channels = train.pixels.shape[1], test.pixels.shape[1]
    require(channels[0] == channels[1], f"the parts have {channels[0]} and {channels[1]} channels")


def has_two_images_a_class(source: type[Source], argument: str) -> None:
    """Every class has two training images or more, so that one can be kept for validation."""
    train = _read(source, argument, "train")
    if train.labels.ndim == 1:
        counts = np.bincount(train.labels, minlength=len(train.classes))
    else:
        counts = np.array([(train.labels == label).any((1, 2)).sum() for label in range(len(train.classes))])
    few = [name for name, count in zip(train.classes, counts, strict=True) if count < 2]
    require(not few, f"{', '.join(few[:5])} has fewer")


def says_its_contents(source: type[Source], argument: str) -> None:
    """contents() returns the channels and the number of classes of the images."""
    train, said = _read(source, argument, "train"), source(argument).contents()
    require(said == (train.pixels.shape[1], len(train.classes)), f"contents() says {said}")


def reads_the_same_again(source: type[Source], argument: str) -> None:
    """Reading twice gives the same images in the same order."""
    first, second = (_read(source, argument, "train") for _ in range(2))
    require(np.array_equal(first.pixels, second.pixels) and np.array_equal(first.labels, second.labels), "the two differ")


def misses_in_words(source: type[Source], argument: str) -> None:
    """A location that does not exist raises a DataError that names it."""
    if source.ARGUMENT.strip("[]") not in ("DIR", "FILE", "GLOB"):
        return
    nowhere = f"{argument or '.'}-is-not-there"
    try:
        _read(source, nowhere, "train")
    except DataError as error:
        require(nowhere in str(error), f"{nowhere!r} is not named in {str(error)!r}")
        return
    except OSError as error:  # `load` reports it with the file's name
        require(nowhere in str(error.filename), f"{nowhere!r} is not the file of {error!r}")
        return
    require(False, f"something was read from {nowhere!r}")


def _read(source: type[Source], argument: str, part: str) -> Raw:
    return source(argument).read(part, SIDE if source.DECODES else 0)  # type: ignore[arg-type]


RULES: Mapping[str, Callable[[type[Source], str], None]] = {
    (check.__doc__ or "").rstrip("."): check
    for check in (reads_both_parts, has_two_images_a_class, says_its_contents, reads_the_same_again, misses_in_words)
}
"""The checks, by their rules in words."""
