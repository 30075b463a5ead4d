"""The form in which a training sees a data set: images in memory that are never modified, and the rows that form a part.

Shapes: N images of a part, M images in memory, C channels, H W pixels.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcdnas.core.units import counted
from dcdnas.data._crop import Crops, resized_crops, resized_masks
from dcdnas.data._limits import MOST_CLASSES
from dcdnas.errors import DataError, UsageError

Part = Literal["train", "test"]

UNLABELLED = 255
"""Mask value of a pixel without a class, which training and evaluation ignore. Masks therefore have at most 255 classes."""


class Raw(NamedTuple):
    """One part of a data set, as a source reads it.

    Images (M, C, H, W) of type uint8; labels (M,), or masks (M, H, W) with a class at each pixel; names of the classes; notes for
    the user, one phrase each; the damaged pictures that were left out, one sentence each; and if there are grey pictures of more
    than 8 bits, the value in them that became 255.
    """

    pixels: NDArray[Any]
    labels: NDArray[Any]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    grey_range: float | None = None


class Listed(NamedTuple):
    """Pictures that are separate files: the paths, the label of each, names of the classes, and notes for the user."""

    paths: list[Path]
    labels: list[int]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Contents(NamedTuple):
    """The properties of a data set that fix a network's input and output: numbers of channels and classes."""

    channels: int
    classes: int

    def __str__(self) -> str:
        return " and ".join(self.parts())

    def parts(self, but: Contents | None = None) -> list[str]:
        """Phrases like ``4 classes`` and ``3 channels``; only those that differ from `but`."""
        found = [f"{self.classes:,} class{'' if self.classes == 1 else 'es'}"] * (but is None or self.classes != but.classes)
        return found + [counted(self.channels, "channel")] * (but is None or self.channels != but.channels)


class Source(ABC):
    """A place that images come from; ``NAME:ARGUMENT`` in a command creates one with this argument.

    Args:
        argument: the text after the colon; empty when there is none.
        skip: how many damaged pictures may be left out: a share below 1, else a number.
    """

    ARGUMENT: ClassVar[str] = ""
    """Kind of the argument: ``DIR`` when it is required, ``[DIR]`` when it is optional, empty when the source takes none.
    ``DIR``, ``FILE`` and ``GLOB`` are paths."""

    DECODES: ClassVar[bool] = False
    """Whether the source decodes pictures of any size. Then `resolution` sets the size of the images, and with 0 the size is not
    known before they are read."""

    grey_range: float | None = None
    """Value that becomes 255 in grey pictures of more than 8 bits; None for that of the data set's own training part."""

    def __init__(self, argument: str = "", skip: float = 0.0) -> None:
        self.argument, self.skip = argument, skip

    @abstractmethod
    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Reads one part from the disk.

        Args:
            part: of the data set.
            resolution: wanted side of the images; only a source whose images differ in size needs to apply it.
            classes: how many of the data set's classes are wanted, 0 for all; a source applies it (with `chosen`) only if
                that saves work for the other classes.

        Raises:
            DataError: when something is missing or damaged.
        """

    def listed(self, part: Part, classes: int = 0) -> Listed | None:
        """Lists the picture files of one part without opening them; None for a source whose pictures are not separate files.

        Args:
            part: of the data set.
            classes: as for `read`.

        Raises:
            DataError: when something is missing.
        """
        return None

    def contents(self) -> Contents:
        """Returns the channels and the number of classes of the whole data set.

        This implementation reads the training part; sources that know the answer without reading it override the method.

        Raises:
            DataError: when something is missing or damaged.
        """
        raw = self.read("train")
        return Contents(raw.pixels.shape[1], len(raw.classes))


@dataclass(frozen=True, eq=False)
class Images:
    """Images in memory with a label or a mask each. The tensors are shared between trials and must never be changed in place.

    Args:
        name: of the data set, as given to `load`.
        resolution: as given to `load`.
        pixels: (M, C, H, W), uint8.
        labels: (M,), int64; or masks (M, H, W), uint8, in which 255 means no class.
        classes: their names, in the order of the labels.
        mean: of the training part, one number per channel, on the scale 0-1.
        std: standard deviation, likewise.
        rows: (N,), int64: which of the M images belong to this part.
        subset: the number of classes that was requested of `load`; 0 for all.
        skip: how many damaged pictures may be left out, as given to `load`.
        notes: what the user should know about how the images were read, one phrase each.
        damaged: the damaged pictures that were left out, one sentence each.
        grey_range: value that became 255 in grey pictures of more than 8 bits; None if there are none.
        interpolation: with which they were scaled: ``bilinear`` if arrays of another size were resized, else ``bicubic``, with
            which pictures are decoded.
        size: (H, W) to which `at_size` resized them; None if it did not.
    """

    AT_ONCE: ClassVar[int] = 512
    """Batch size of an evaluation."""

    name: str
    resolution: int
    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rows: Tensor
    subset: int = 0
    skip: float = 0.0
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    grey_range: float | None = None
    interpolation: str = "bicubic"
    size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return int(self.rows.numel())

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @property
    def masks(self) -> bool:
        """Whether the labels are masks, with a class at each pixel, instead of one class per image."""
        return self.labels.dim() == 3

    @property
    def labelled(self) -> bool:
        """Whether there is anything to learn or evaluate: an image with a label; with masks, a pixel with a class."""
        return any(bool((self.labels[row] != UNLABELLED).any()) for row in self.rows.tolist()) if self.masks else len(self) > 0

    @property
    def counts(self) -> list[int]:
        """Number of images of each class in this part; with masks, number of pixels."""
        labels = self.labels.index_select(0, self.rows).flatten()
        counts: list[int] = labels.bincount(minlength=len(self.classes)).tolist()
        return counts[: len(self.classes)]

    @property
    def absent(self) -> list[str]:
        """Classes without an image in this part; with masks, without a pixel."""
        return [name for name, count in zip(self.classes, self.counts, strict=True) if not count]

    def batch(self, indices: Tensor, crops: Crops | None = None) -> tuple[Tensor, Tensor]:
        """Copies images (n, C, H, W) and their labels (n,) or masks (n, H, W), these as int64.

        Args:
            indices: (n,) positions in this part.
            crops: applied to the images and to their masks; None for whole images.

        Raises:
            DataError: when a picture that is decoded on demand is damaged.
        """
        rows = self.rows.index_select(0, indices)
        pixels = self.pixels.index_select(0, rows)
        labels = self.labels.index_select(0, rows).long()
        if crops is None:
            return pixels, labels
        boxes = crops.boxes(*self.shape[1:])
        return resized_crops(pixels, boxes), resized_masks(labels, boxes) if self.masks else labels

    def batches(self, plan: Iterable[tuple[Tensor, Crops | None]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the `batch` of each pair of positions and crops, in order."""
        return (self.batch(indices, crops) for indices, crops in plan)

    def intact(self, chunks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the batches of an evaluation: the `batch` of each chunk of positions, without pictures that turn out damaged."""
        return self.batches((indices, None) for indices in chunks)

    @property
    def met(self) -> tuple[str, ...]:
        """The damaged pictures that were met so far while decoding on demand, one sentence each."""
        return ()

    def sample(self, count: int) -> bytes:
        """Bytes that identify these images: the pixels of about `count` of them, evenly spaced."""
        step = max(1, len(self) // count)
        return self.batch(torch.arange(0, len(self), step))[0].numpy().tobytes()

    def take(self, indices: Tensor) -> Images:
        """Selects the images at `indices` as a new part; only row numbers are copied."""
        return replace(self, rows=self.rows.index_select(0, indices))

    def to(self, device: torch.device, chunk: int = 4096) -> Images:
        """Copies the images of this part to a device; rows of other parts are left out."""
        if self.pixels.device == device:
            return self
        pixels = torch.empty((len(self), *self.shape), dtype=torch.uint8, device=device)
        for start in range(0, len(self), chunk):
            rows = self.rows[start : start + chunk]
            pixels[start : start + len(rows)] = self.pixels.index_select(0, rows).to(device)
        labels = self.labels.index_select(0, self.rows).to(device)
        return replace(self, pixels=pixels, labels=labels, rows=torch.arange(len(self), device=device))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the tensors as NumPy arrays, so that Ray's object store shares them between processes without a copy."""
        arrays = tuple(t.cpu().numpy() for t in (self.pixels, self.labels, self.rows))
        rest = self.classes, self.mean, self.std, self.subset, self.skip, self.notes, self.damaged
        return _from_arrays, (*arrays, self.name, self.resolution, *rest, self.grey_range, self.interpolation, self.size)


class Split(NamedTuple):
    """Two parts of one data set: the training images and the validation images."""

    train: Images
    validation: Images


def split(images: Images, share: float = 0.2, seed: int = 0) -> Split:
    """Splits a validation part off the training part, at random: the same share of each class, with masks of all images.

    Args:
        images: the training part.
        share: of the images that are set aside for validation, between 0 and 1.
        seed: of the random split; the same in all trials of a search.

    Raises:
        UsageError: when `share` is not between 0 and 1.
        DataError: when no class has two images, there is only one image with a mask, or no pixel of a part's masks has a class.
    """
    if not 0 < share < 1:
        raise UsageError(f"the validation share cannot be {share:g}. Allowed: above 0 and below 1, e.g. 0.2.")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    kept = torch.zeros(len(images), dtype=torch.bool)
    for members in _strata(images, order):
        count = min(max(1, round(share * len(members))), len(members) - 1)
        kept[members[: max(0, count)]] = True
    if not kept.any():
        raise DataError(
            f"{images.name}: no class has two images, so none can be kept for validation. Allowed: at least two images a class."
        )
    parts = Split(images.take(torch.nonzero(~kept).flatten()), images.take(torch.nonzero(kept).flatten()))
    for purpose, part in zip(("training", "validation"), parts, strict=True):
        if not part.labelled:
            raise DataError(
                f"{images.name}: of the {len(part)} masks for {purpose}, chosen at random, no pixel has a class. Allowed: at "
                "least one in the masks for training and one in those for validation. Label more of the images."
            )
    return parts


def statistics(pixels: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel on the scale 0-1, computed exactly from the counts of the 256 values."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(pixels.shape[1]):
        counts = torch.bincount(pixels[:, channel].flatten(), minlength=256).double()
        mean = (counts @ values / counts.sum()).item()
        variance = (counts @ (values - mean) ** 2 / counts.sum()).item()
        means.append(mean)
        # A constant channel carries no information; dividing by one keeps it at zero.
        deviations.append(math.sqrt(variance) or 1.0)
    return tuple(means), tuple(deviations)


def _strata(images: Images, order: Tensor) -> Iterator[Tensor]:
    """Yields the shuffled positions of the images of each class; with masks all positions at once."""
    if images.masks:
        yield order
        return
    labels = images.labels.index_select(0, images.rows)[order]
    for label in range(len(images.classes)):
        yield order[labels == label]


def chosen(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Selects `count` of a data set's classes, evenly spaced in their order; all for 0.

    Raises:
        UsageError: when the data set has fewer classes, or `count` is 1.
    """
    if not count:
        return names
    if not 2 <= count <= len(names):
        raise UsageError(
            f"the data has {len(names)} classes, so {count} cannot be taken. Allowed: 2 to {len(names)}, or 0 for all."
        )
    return tuple(names[i * len(names) // count] for i in range(count))


def of_classes(raw: Raw, names: tuple[str, ...]) -> Raw:
    """Selects the images of some classes and renumbers their labels in the order of `names`; unchanged if these are all.

    With masks all images are kept, and pixels of other classes become pixels without a class.
    """
    if names == raw.classes:
        return raw
    numbers = {name: number for number, name in enumerate(names)}
    if raw.labels.ndim == 3:
        table = np.full(max(len(raw.classes), UNLABELLED + 1), UNLABELLED)
        table[: len(raw.classes)] = [numbers.get(name, UNLABELLED) for name in raw.classes]
        return raw._replace(labels=table[raw.labels], classes=names)
    labels = np.array([numbers.get(name, -1) for name in raw.classes])[raw.labels]
    return raw._replace(pixels=raw.pixels[labels >= 0], labels=labels[labels >= 0], classes=names)


def numbered(where: str, labels: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...], tuple[str, ...]]:
    """Turns labels without names into classes: the numbers that occur, in ascending order, which also name the classes.

    Returns:
        The labels renumbered from 0, the class names, and notes for the user.

    Raises:
        DataError: when the labels are not whole numbers from 0 to a million.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{where}: labels are {_described(labels)}. Allowed: one whole number an image.")
    if not labels.size:
        raise DataError(f"{where}: holds no images. Allowed: at least two a class.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > MOST_CLASSES:
        raise DataError(f"{where}: labels from {low} to {high}. Allowed: whole numbers from 0 to {MOST_CLASSES:,}, a class each.")
    values, fresh = np.unique(labels, return_inverse=True)
    said = () if high + 1 == len(values) else (f"labels {low} to {high}: {len(values):,} classes, the numbers that occur",)
    return fresh.astype(np.int64), tuple(map(str, values.tolist())), said


def checked(where: str, raw: Raw) -> Raw:
    """Returns the images unchanged after checking that they have the shapes, types and labels that `Raw` requires.

    Raises:
        DataError: naming `where` and what is wrong.
    """
    pixels, labels, classes, *_ = raw
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        raise DataError(
            f"{where}: images are {_described(pixels)}. Allowed: uint8 (0-255) of shape (images, channels, rows, columns)."
        )
    if labels.dtype.kind not in "iu" or labels.shape[1:] not in ((), pixels.shape[2:]):
        raise DataError(
            f"{where}: labels are {_described(labels)}. Allowed: one whole number an image, or one at each pixel: masks of "
            f"{'x'.join(map(str, pixels.shape[2:]))}."
        )
    if len(pixels) != len(labels):
        raise DataError(f"{where}: {len(pixels)} images but {len(labels)} labels. Both must be complete: get the files again.")
    if not len(pixels):
        raise DataError(f"{where}: holds no images. Allowed: at least two a class.")
    if labels.ndim == 3:
        labels = labels[labels != UNLABELLED]
        if len(classes) > UNLABELLED:
            raise DataError(f"{where}: masks of {len(classes)} classes. Allowed: at most {UNLABELLED}; {UNLABELLED} is no class.")
        if not labels.size:
            raise DataError(f"{where}: no pixel of a mask has a class. Allowed: whole numbers from 0, and {UNLABELLED} for none.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(classes):
        wrong = low if low < 0 else high
        raise DataError(
            f"{where}: label {wrong} among {len(classes)} classes. Allowed: 0 to {len(classes) - 1}; get the files again."
        )
    return raw


def as_tensor(array: NDArray[Any]) -> Tensor:
    """Returns a tensor that shares the array's memory. The memory may be read-only, because nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _from_arrays(pixels: Any, labels: Any, rows: Any, name: str, resolution: int, *rest: Any) -> Images:
    classes, mean, std, *more = rest
    return Images(name, resolution, as_tensor(pixels), as_tensor(labels), classes, mean, std, as_tensor(rows), *more)


def _described(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {tuple(array.shape)}"
