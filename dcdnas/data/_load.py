"""Loads a data set by the name used in commands. The test part has a separate function, which a search never calls."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.core.catalogue import Catalogue
from dcdnas.data._base import UNLABELLED, Contents, Images, Part, Raw, Source, as_tensor, checked, chosen, of_classes, statistics
from dcdnas.data._limits import check_bytes, limit
from dcdnas.data._picture import CHANNELS, shown
from dcdnas.data._streamed import Streamed, streamed
from dcdnas.errors import DataError, UsageError

sources: Catalogue[type[Source]] = Catalogue("data", "data set")

PATHS = ("DIR", "FILE", "GLOB")
"""Kinds of data source arguments that are paths."""

STATISTICS_FROM = 10_000
"""About this number of images, evenly spaced, is used to compute mean and standard deviation."""


def load(
    name: str,
    resolution: int = 0,
    classes: int = 0,
    skip_damaged: float = 0.0,
    decoded: int | None = None,
    grey_range: float | None = None,
) -> Images:
    """Loads the training part of a data set.

    Args:
        name: ``NAME`` or ``NAME:ARGUMENT``, e.g. ``fashion-mini`` or ``cifar10:/data``.
        resolution: side of the images in pixels; 0 keeps the data set's own.
        classes: how many of the data set's classes, evenly spaced in their order; 0 for all.
        skip_damaged: how many damaged pictures may be left out: a share below 1, else a number.
        decoded: when a resolution is given and the decoded pictures would take more bytes than this, pictures in separate files
            are decoded on demand during the training instead of all beforehand; None to always decode them beforehand.
        grey_range: value that becomes 255 in grey pictures of more than 8 bits; None for that of the data set itself.

    Raises:
        UnknownNameError: when there is no such data set.
        UsageError: when the source's argument is missing or not allowed, or the data set has fewer classes.
        DataError: when the files are missing or damaged.
    """
    if resolution < 0:
        raise UsageError(f"resolution cannot be {resolution}. Allowed: a number of pixels, or 0 for the data set's own.")
    if not 0 <= skip_damaged < math.inf:
        raise UsageError(f"skip_damaged cannot be {skip_damaged}. Allowed: a share below 1, or a number of pictures.")
    source = open_source(name, skip_damaged, grey_range)
    if decoded is not None and resolution:
        with _reading(name, f"{name}: train part"):
            listed = source.listed("train", classes)
            if listed and len(listed.paths) * CHANNELS * resolution**2 > min(decoded, limit()):
                return streamed(name, listed, resolution, classes, skip_damaged, grey_range=grey_range)
    where, raw = _read(source, name, "train", resolution, classes)
    if classes and raw.labels.ndim == 3:
        raise UsageError(f"{name}: masks cannot be limited to some classes, as a picture has several. Leave out --proxy-classes.")
    if len(raw.classes) < 2:
        of = "images" if raw.labels.ndim == 1 else "labelled pixels"
        raise DataError(f"{where}: all {of} are of one class, {raw.classes[0]}. Needed: two classes or more.")
    raw = checked(where, of_classes(raw, chosen(raw.classes, classes)))
    pixels, labels = _tensors(where, raw, resolution)
    mean, std = statistics(pixels[:: math.ceil(len(pixels) / STATISTICS_FROM)])
    rows = torch.arange(len(labels))
    interpolation = "bicubic" if pixels.shape == raw.pixels.shape else "bilinear"
    said = raw.notes, raw.damaged, grey_range or raw.grey_range, interpolation
    return Images(name, resolution, pixels, labels, raw.classes, mean, std, rows, classes, skip_damaged, *said)


def load_sized(
    name: str,
    height: int,
    width: int,
    classes: int = 0,
    skip_damaged: float = 0.0,
    decoded: int | None = None,
    grey_range: float | None = None,
) -> Images:
    """Loads the training part of a data set at the input size of a network.

    Arrays are resized to it. Pictures in files are cut to squares of the height, whatever the width.

    Args:
        name: as for `load`.
        height: of the network's input in pixels.
        width: likewise.
        classes: as for `load`.
        skip_damaged: as for `load`.
        decoded: as for `load`.
        grey_range: as for `load`.

    Raises:
        UsageError: as for `load`.
        DataError: as for `load`.
    """
    if height == width or open_source(name).DECODES:
        return load(name, height, classes, skip_damaged, decoded, grey_range)
    return at_size(load(name, 0, classes, skip_damaged, grey_range=grey_range), height, width)


def load_test(train: Images) -> Images:
    """Loads the test part of the data set that `train` belongs to, with its resolution, size, classes, mean, standard deviation
    and range of grey values.

    Raises:
        DataError: when files are missing or damaged, or classes or image shape differ from those of the training part.
    """
    source = open_source(train.name, train.skip, train.grey_range)
    resolution = train.resolution or (train.shape[1] if source.DECODES else 0)
    if isinstance(train, Streamed):
        with _reading(train.name, f"{train.name}: test part"):
            listed = source.listed("test", train.subset)
            assert listed is not None
            return streamed(train.name, listed, resolution, train.subset, train.skip, train)
    where, raw = _read(source, train.name, "test", resolution, train.subset)
    if (raw.labels.ndim == 3) != train.masks:
        kinds = ("masks", "a label an image") if train.masks else ("a label an image", "masks")
        raise DataError(f"{where}: the training part has {kinds[0]}, and this part {kinds[1]}. Allowed: the same in both.")
    if not train.subset:
        _check_classes(where, raw, train.classes)
    raw = checked(where, of_classes(raw, train.classes))
    if raw.pixels.shape[1] != train.shape[0] or not (resolution or train.size or raw.pixels.shape[2:] == train.shape[1:]):
        found, wanted = ("x".join(map(str, shape)) for shape in (raw.pixels.shape[1:], train.shape))
        raise DataError(
            f"{where}: images of {found}, the training part has {wanted}. Allowed: the same shape in both; write them anew."
        )
    pixels, labels = _tensors(where, raw, resolution)
    rows, grey_range = torch.arange(len(labels)), raw.grey_range
    test = replace(
        train, pixels=pixels, labels=labels, rows=rows, notes=raw.notes, damaged=raw.damaged, grey_range=grey_range
    )  # fmt: skip
    return at_size(test, *train.size) if train.size else test


def load_both(name: str, resolution: int = 0, skip_damaged: float = 0.0) -> tuple[Images, Images]:
    """Loads the training part and the test part of a data set; when neither can be read, one message says what is wrong in both.

    Args:
        name: as for `load`.
        resolution: as for `load`.
        skip_damaged: as for `load`.

    Raises:
        UsageError: as for `load`.
        DataError: when files of either part are missing or damaged.
    """
    try:
        train = load(name, resolution, 0, skip_damaged)
    except DataError as error:
        try:
            _read(open_source(name, skip_damaged), name, "test", resolution, 0)
        except DataError as more:
            if str(more) != str(error):
                raise DataError(f"{error}\n{more}") from None
        raise
    return train, load_test(train)


def open_source(name: str, skip_damaged: float = 0.0, grey_range: float | None = None) -> Source:
    """Creates the data source that a name refers to; nothing is read yet.

    Args:
        name: ``NAME`` or ``NAME:ARGUMENT``.
        skip_damaged: as for `load`.
        grey_range: as for `load`.

    Raises:
        UnknownNameError: when there is no such data set.
        UsageError: when the argument is missing or not allowed, or the name is not valid text.
    """
    if shown(name) != name or "\0" in name:
        raise UsageError(f"data {shown(name)!r}: the name is not UTF-8 text. Rename the folder, or make a link to it.")
    plain, colon, argument = name.partition(":")
    source = sources[plain]
    if argument and not source.ARGUMENT:
        raise UsageError(f"data set {plain!r} takes no argument, but {argument!r} was given. Write {plain}.")
    if not argument and (colon or not source.ARGUMENT.startswith("[")) and source.ARGUMENT:
        raise UsageError(f"data set {plain!r} needs to know where it is. Write {plain}:{source.ARGUMENT.strip('[]')}.")
    opened = source(argument, skip_damaged)
    opened.grey_range = grey_range
    return opened


def contents(name: str, skip_damaged: float = 0.0) -> Contents:
    """Returns channels and number of classes of a whole data set, for most sources without decoding an image.

    Args:
        name: as for `load`.
        skip_damaged: as for `load`.

    Raises:
        UsageError: as for `load`.
        DataError: when the files are missing or damaged.
    """
    with _reading(name, f"{name}: train part"):
        return open_source(name, skip_damaged).contents()


def placed(name: str, folder: Path) -> str:
    """Resolves a relative path in a data set's name against a folder; other names are returned unchanged.

    Args:
        name: as for `load`.
        folder: to which the path is relative.

    Raises:
        UnknownNameError: when there is no such data set.
    """
    plain, _, argument = name.partition(":")
    kind = sources[plain].ARGUMENT.strip("[]")
    relative = kind in PATHS and argument and not Path(argument).expanduser().is_absolute()
    above = Path(glob.escape(str(folder))) if kind == "GLOB" else folder
    return f"{plain}:{above / argument}" if relative else name


def resized(pixels: Tensor, resolution: int | tuple[int, int], chunk: int = 1024) -> Tensor:
    """Resizes (N, C, H, W) to (N, C, H', W'), uint8, bilinear with antialiasing; the same tensor for its own size and for 0."""
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    if not resolution or pixels.shape[-2:] == size:
        return pixels
    out = torch.empty((*pixels.shape[:2], *size), dtype=torch.uint8)
    for start in range(0, len(pixels), chunk):
        part = pixels[start : start + chunk].float()
        out[start : start + chunk] = F.interpolate(part, size, mode="bilinear", antialias=True).round_().clamp_(0, 255).byte()
    return out


def ordered_as(images: Images, names: Sequence[str]) -> Images:
    """Renumbers the labels so that the classes are in another order.

    Args:
        images: with classes of the same names.
        names: of the classes, in the wanted order.

    Raises:
        DataError: when the names differ; the message lists the classes that either side lacks.
    """
    if tuple(names) == images.classes:
        return images
    lacking, more = ([n for n in a if n not in b] for a, b in ((names, images.classes), (images.classes, names)))
    if lacking or more or len(set(names)) != len(names):
        sides = [f"{images.name} lacks {_some(lacking)}"] * bool(lacking)
        sides += [f"the network does not know {_some(more)}"] * bool(more)
        raise DataError(
            f"{images.name} has other classes than the network was trained on: {'; '.join(sides) or 'names repeat'}. Allowed: "
            f"the same {len(names)} names in any order."
        )
    places = torch.full((max(len(names), UNLABELLED + 1),), UNLABELLED)
    places[: len(names)] = torch.tensor([list(names).index(name) for name in images.classes])
    return replace(images, labels=places[images.labels.long()].to(images.labels.dtype), classes=tuple(names))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def at_size(images: Images, height: int, width: int) -> Images:
    """Resizes the images and keeps their mean and standard deviation; returns them unchanged when they already have that size.

    Args:
        images: decoded ones, to resize; rows of other parts are left out.
        height: in pixels.
        width: in pixels.

    Raises:
        DataError: when they would take more memory than a data set may.
    """
    if images.shape[1:] == (height, width):
        return images
    check_bytes(f"{images.name} at {height}x{width}", len(images) * images.shape[0] * height * width)
    own = images.pixels.index_select(0, images.rows)
    labels = labels_at(images.labels.index_select(0, images.rows), (height, width))
    rows, size = torch.arange(len(images)), (height, width)
    return replace(images, pixels=resized(own, size), labels=labels, rows=rows, interpolation="bilinear", size=size)


def labels_at(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes masks (N, H, W) to (N, H', W') by nearest neighbour; labels (N,) are returned unchanged."""
    if labels.dim() == 1 or labels.shape[1:] == size:
        return labels
    rows, columns = (
        ((torch.arange(new) + 0.5) * old / new).long().clamp_(max=old - 1)
        for new, old in zip(size, labels.shape[1:], strict=True)
    )
    return labels[:, rows][:, :, columns]


def _read(source: Source, name: str, part: Part, resolution: int, classes: int) -> tuple[str, Raw]:
    """Reads and checks a part; returns its name for error messages, and its contents."""
    where = f"{name}: {part} part"
    with _reading(name, where):
        return where, checked(where, source.read(part, resolution, classes))


@contextmanager
def _reading(name: str, where: str) -> Iterator[None]:
    """Turns errors of the operating system and a lack of memory into DataErrors."""
    try:
        yield
    except OSError as error:
        file = shown(error.filename) if error.filename else "a file"
        raise DataError(f"{name}: {file}: {error.strerror or error}. The files must exist and be readable.") from None
    except MemoryError:
        raise DataError(
            f"{where}: does not fit into memory. Take fewer classes, a lower resolution, or a larger machine."
        ) from None


def _check_classes(where: str, raw: Raw, names: tuple[str, ...]) -> None:
    """Raises DataError when a class occurs here that is not among those of the training part."""
    numbers = [label for label in np.unique(raw.labels) if raw.labels.ndim == 1 or label != UNLABELLED]
    unknown = [raw.classes[label] for label in numbers if raw.classes[label] not in set(names)]
    if unknown:
        known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise DataError(
            f"{where}: label {unknown[0]} among {len(names)} classes of the training part ({known}). Allowed: the same in both."
        )


def _tensors(where: str, raw: Raw, resolution: int) -> tuple[Tensor, Tensor]:
    if resolution:
        check_bytes(f"{where} at {resolution}x{resolution}", len(raw.pixels) * raw.pixels.shape[1] * resolution**2)
    pixels = resized(as_tensor(raw.pixels), resolution)
    if raw.labels.ndim == 1:
        return pixels, as_tensor(raw.labels.astype(np.int64))
    return pixels, labels_at(as_tensor(raw.labels.astype(np.uint8)), (pixels.shape[2], pixels.shape[3]))
