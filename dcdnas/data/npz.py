"""One NumPy archive: ``npz:FILE``.

Arrays: `train_images`, `train_labels`, and for the test part `test_images`, `test_labels` (or `x_train`, `y_train`, `x_test`,
`y_test`). The optional array `classes` holds the class names; without it the labels that occur are the classes. Images are uint8
of shape (N, H, W), (N, C, H, W) or (N, H, W, C); `channels_axis` describes how the axis of the channels is found. `train_masks`
and `test_masks` of shape (N, H, W) in place of the labels give a class at each pixel, 255 for none. The header of each array is
checked before anything is unpacked.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections import Counter
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
"""Exceptions raised for a file that is damaged, encrypted, compressed by an unknown method, or not an archive."""


class Npz(Source):
    """A .npz file with `train_images`, `train_labels` (or `train_masks`), the same of `test`, and, if you like, `classes`."""

    ARGUMENT = "FILE"

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Reads one part; the arrays of the other part are not read."""
        return read_npz(Path(self.argument).expanduser(), part)

    def contents(self) -> Contents:
        """Reads the header of the images, and the labels; no image is unpacked."""
        return npz_contents(Path(self.argument).expanduser())


def read_npz(path: Path, part: Part) -> Raw:
    """Reads one part of an archive.

    Raises:
        DataError: when the file is missing or damaged, or its arrays are missing, too large or of the wrong type or shape.
    """
    with _opened(path) as arrays:
        found = _looked_at(arrays, part)
        pixels = channels_first(arrays.read(found.pixels), found.axis)
        return Raw(pixels, found.labels, found.classes, found.said)


def npz_contents(path: Path) -> Contents:
    """Returns channels and number of classes, from the header of the images and the labels.

    Raises:
        DataError: as for `read_npz`.
    """
    with _opened(path) as arrays:
        found = _looked_at(arrays, "train")
        return Contents(found.channels, len(found.classes))


@contextmanager
def _opened(path: Path) -> Iterator[Arrays]:
    """Opens an archive; exceptions while it is read become DataErrors about a damaged file."""
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
    """Shape and type of an array, from its header."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype} of shape {self.shape}"


class Arrays:
    """The arrays of an archive, whose headers are checked before they are unpacked. Pickled objects are never read.

    Args:
        path: named in error messages.
        archive: the opened file.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        self.names = [name.removesuffix(".npy") for name in archive.namelist()]

    def header(self, name: str) -> Header:
        """Reads and checks the header of an array.

        Raises:
            DataError: when the array holds objects, its size is not the one in its header, or it is too large.
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
        """Reads an array; its header must have been checked before."""
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
    """A part of an archive before its images are unpacked: name of their array, axis and number of channels, labels, notes."""

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
    if 0 in pixels.shape[1:]:
        raise DataError(f"{where}: images are {pixels}, without a pixel or channel. Allowed: 1 or more of each; write them anew.")
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
    """Number of masks, after checking that they have the size of the images."""
    size = tuple(n for i, n in enumerate(pixels.shape) if i not in (0, axis or None))
    if masks.dtype.kind not in "iu" or masks.shape[1:] != size:
        raise DataError(f"{where}: masks are {masks}. Allowed: a whole number at each pixel, of shape (N, {size[0]}, {size[1]}).")
    return masks.shape[0]


def _numbers(where: str, masks: NDArray[Any]) -> tuple[str, ...]:
    """Class names of masks without names: all numbers up to the largest one that occurs."""
    labelled = masks[masks != UNLABELLED]
    if not labelled.size:
        return ("0",)
    low, high = int(labelled.min()), int(labelled.max())
    if low < 0 or high > UNLABELLED:
        raise DataError(
            f"{where}: masks with numbers from {low} to {high}. Allowed: 0 to {UNLABELLED - 1}, and {UNLABELLED} for pixels of "
            "no class."
        )
    return tuple(map(str, range(high + 1)))


def _names(arrays: Arrays) -> tuple[str, ...]:
    """The class names if the archive has them, else empty."""
    if "classes" not in arrays.names:
        return ()
    header = arrays.header("classes")
    if len(header.shape) != 1 or not 0 < header.shape[0] <= MOST_CLASSES or header.dtype.kind not in "USiu":
        raise DataError(f"{arrays.path}: classes are {header}. Allowed: a list of names, one a class.")
    read = arrays.read("classes").tolist()
    names = tuple(name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name) for name in read)
    if repeated := [name for name, count in Counter(names).items() if count > 1 or not name.strip()]:
        raise DataError(f"{arrays.path}: classes: {repeated[0]!r} is no name or that of several classes. Allowed: a name each.")
    return names


def channels_axis(where: str, shape: tuple[int, ...]) -> int:
    """Finds the axis of the channels in (N, H, W), (N, C, H, W) or (N, H, W, C): 1, 3, or 0 when there is none.

    It is the axis without which the other two are equal, as for square images; else the axis of length 1, 3 or 4; else the one of
    length 1; else the shortest.

    Raises:
        DataError: when these rules fit both axes.
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
    """Transposes images with their channels at `axis` (0 for none) to (N, C, H, W)."""
    if axis == 0:
        return pixels[:, None]
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) if axis == 3 else pixels
