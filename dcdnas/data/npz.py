"""One NumPy archive: ``npz:FILE``.

Arrays: `train_images`, `train_labels`, and for the test part `test_images`, `test_labels` (or `x_train`, `y_train`, `x_test`,
`y_test`); `classes` with their names may be there, else the labels that occur are the classes. Images are uint8 of shape
(N, H, W), (N, C, H, W) or (N, H, W, C); which axis is the channels', `channels_axis` says. `train_masks` and `test_masks` of
shape (N, H, W) in place of the labels say a class at each pixel, 255 for none. What an array's header says is checked before
anything is unpacked.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.files import is_file
from dcdnas.data._base import UNLABELLED, Contents, Part, Raw, Source, numbered
from dcdnas.data._limits import MOST_CLASSES, check_bytes
from dcdnas.errors import DataError

__all__ = ["Npz"]

KEYS: dict[Part, tuple[tuple[str, str], ...]] = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train"), ("train_images", "train_masks")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test"), ("test_images", "test_masks")),
}


DAMAGED = (
    OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What archives raise that are damaged, encrypted, packed in an unknown way, or none."""


class Npz(Source):
    """A .npz file with `train_images`, `train_labels` (or `train_masks`), the same of `test`, and, if you like, `classes`."""

    ARGUMENT = "FILE"

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Reads one part; the arrays of the other one are not touched."""
        return read_npz(Path(self.argument).expanduser(), part)

    def contents(self) -> Contents:
        """By the header of the images and the labels; no image is unpacked."""
        return npz_contents(Path(self.argument).expanduser())


def read_npz(path: Path, part: Part) -> Raw:
    """One part of an archive.

    Raises:
        DataError: when the file is missing or damaged, lacks the arrays, or they are too large or of something else.
    """
    with _opened(path) as arrays:
        found = _looked_at(arrays, part)
        pixels = channels_first(arrays.read(found.pixels), found.axis)
        return Raw(pixels, found.labels, found.classes, found.said)


def npz_contents(path: Path) -> Contents:
    """What is in an archive, by the header of the images and the labels.

    Raises:
        DataError: as for `read_npz`.
    """
    with _opened(path) as arrays:
        found = _looked_at(arrays, "train")
        return Contents(found.channels, len(found.classes))


@contextmanager
def _opened(path: Path) -> Iterator[Arrays]:
    """The archive's arrays; what its reading raises is said as a damaged file."""
    if not is_file(path):
        raise DataError(f"{path}: no such file. Give a NumPy archive: npz:FILE.")
    try:
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise DataError(f"{path}: one array, not an archive of arrays. Write it with numpy.savez_compressed.")
        with zipfile.ZipFile(path) as archive:
            yield Arrays(path, archive)
    except DAMAGED as error:
        raise DataError(f"{path}: damaged, or no NumPy archive ({error}). Get or write the file again.") from None


class Header(NamedTuple):
    """What an array's header says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype} of shape {self.shape}"


class Arrays:
    """The arrays of an archive, which are looked at before they are unpacked. Pickled objects are never read.

    Args:
        path: named in messages.
        archive: opened.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        self.names = [name.removesuffix(".npy") for name in archive.namelist()]

    def header(self, name: str) -> Header:
        """Shape and type of an array.

        Raises:
            DataError: when it holds objects, or does not unpack to what it says or to too much.
        """
        info = self._archive.getinfo(self._member(name))
        with self._archive.open(info) as file:
            header = _header(file)
            begin = file.tell()
        where = f"{self.path}: {name}"
        if header.dtype.hasobject:
            raise DataError(f"{where}: holds pickled objects, which are never read. Write an array of numbers.")
        needed = math.prod(header.shape) * header.dtype.itemsize
        if needed != info.file_size - begin:
            raise DataError(
                f"{where}: damaged: {header} has {needed:,} bytes, but {info.file_size - begin:,} are there. Get the file again."
            )
        check_bytes(where, needed)
        return header

    def read(self, name: str) -> NDArray[Any]:
        """An array, whose header has been looked at."""
        with self._archive.open(self._member(name)) as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array

    def _member(self, name: str) -> str:
        return name if name in self._archive.NameToInfo else f"{name}.npy"


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array of format {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if any(length < 0 for length in shape):
        raise ValueError(f"an array of shape {shape}")
    return Header(shape, dtype)


class LookedAt(NamedTuple):
    """A part of an archive whose images are not unpacked yet: name of their array, the axis of their channels, and the rest."""

    pixels: str
    axis: int
    channels: int
    labels: NDArray[Any]
    classes: tuple[str, ...]
    said: tuple[str, ...]


def _looked_at(arrays: Arrays, part: Part) -> LookedAt:
    path = arrays.path
    found = [keys for keys in KEYS[part] if set(keys) <= set(arrays.names)]
    if not found:
        needed = f"{' and '.join(KEYS[part][0])}, or {KEYS[part][-1][1]} in their place"
        raise DataError(f"{path}: has {', '.join(sorted(arrays.names)[:20]) or 'no arrays'}. Needed: {needed}.")
    pixels, labels = (arrays.header(key) for key in found[0])
    where = f"{path}: {found[0][0]}"
    if pixels.dtype != np.uint8 or len(pixels.shape) not in (3, 4):
        raise DataError(f"{where}: images are {pixels}. Allowed: uint8 (0-255) of shape (N, H, W), (N, C, H, W) or (N, H, W, C).")
    axis = channels_axis(where, pixels.shape)
    masks = found[0][1].endswith("_masks")
    many = _count(f"{path}: {found[0][1]}", labels, pixels, axis) if masks else max(labels.shape, default=1)
    if labels.dtype.kind not in "iu" or (math.prod(labels.shape) != many and not masks):
        raise DataError(f"{path}: {found[0][1]}: labels are {labels}. Allowed: one whole number an image.")
    if many != pixels.shape[0]:
        what = "masks" if masks else "labels"
        raise DataError(f"{path}: {pixels.shape[0]:,} images but {many:,} {what}. Both must be complete: get the files again.")
    numbers, classes, said = arrays.read(found[0][1]), _names(arrays), tuple[str, ...]()
    if masks:
        classes = classes or _numbers(f"{path}: {found[0][1]}", numbers)
    elif not classes:
        numbers, classes, said = numbered(f"{path}: {found[0][1]}", numbers.reshape(-1))
    if axis == 3:
        said = (f"channels last: (N, H, W, C) = {pixels.shape}", *said)
    channels = pixels.shape[axis] if axis else 1
    return LookedAt(found[0][0], axis, channels, numbers if masks else numbers.reshape(-1), classes, said)


def _count(where: str, masks: Header, pixels: Header, axis: int) -> int:
    """How many masks there are, which have the size of the images."""
    size = tuple(n for i, n in enumerate(pixels.shape) if i not in (0, axis or None))
    if masks.dtype.kind not in "iu" or masks.shape[1:] != size:
        raise DataError(f"{where}: masks are {masks}. Allowed: a whole number at each pixel, of shape (N, {size[0]}, {size[1]}).")
    return masks.shape[0]


def _numbers(where: str, masks: NDArray[Any]) -> tuple[str, ...]:
    """Classes without names: all numbers up to the largest that occurs."""
    labelled = masks[masks != UNLABELLED]
    if not labelled.size:
        return ("0",)
    low, high = int(labelled.min()), int(labelled.max())
    if low < 0:
        raise DataError(
            f"{where}: masks with numbers from {low} to {high}. Allowed: from 0; {UNLABELLED} for pixels of no class."
        )
    return tuple(map(str, range(high + 1)))


def _names(arrays: Arrays) -> tuple[str, ...]:
    """The classes' names where the archive has them, else nothing."""
    if "classes" not in arrays.names:
        return ()
    header = arrays.header("classes")
    if len(header.shape) != 1 or not 0 < header.shape[0] <= MOST_CLASSES or header.dtype.kind not in "USiu":
        raise DataError(f"{arrays.path}: classes are {header}. Allowed: a list of names, one a class.")
    names = arrays.read("classes")
    return tuple(name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name) for name in names.tolist())


def channels_axis(where: str, shape: tuple[int, ...]) -> int:
    """Which axis of (N, H, W), (N, C, H, W) or (N, H, W, C) is the channels': 1, 3, or 0 for none.

    The other two are equal, as of square images; else the axis of 1, 3 or 4; else the shortest.

    Raises:
        DataError: when it could be either.
    """
    if len(shape) == 3:
        return 0
    _, first, middle, last = shape
    for of_first, of_last in (
        (first != middle == last, first == middle != last),
        (first in (1, 3, 4), last in (1, 3, 4)),
        (first == 1, last == 1),
        (first < min(middle, last), last < min(first, middle)),
    ):
        if of_first != of_last:
            return 1 if of_first else 3
    raise DataError(
        f"{where}: of shape {shape}, the channels could be axis 1 or 3. Allowed: (N, C, H, W) or (N, H, W, C) with "
        "fewer channels than pixels a side."
    )


def channels_first(pixels: NDArray[Any], axis: int) -> NDArray[Any]:
    """Images with their channels at `axis` (0 for none) as (N, C, H, W)."""
    if axis == 0:
        return pixels[:, None]
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) if axis == 3 else pixels
