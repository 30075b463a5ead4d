"""Fashion-MNIST in its original files: ``fashion-mnist`` or ``fashion-mnist:DIR``. 60,000 + 10,000 grey images, 28x28.

Four files in the IDX format (magic number, sizes, bytes), gzipped or not. Debian's package `dataset-fashion-mnist` has them.

Reference: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017,
arXiv:1708.07747.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcdnas.data._base import Contents, Part, Raw, Source
from dcdnas.data._find import find
from dcdnas.data._limits import check_bytes
from dcdnas.errors import DataError

__all__ = ["FashionMnist"]

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
STEMS: dict[Part, str] = {"train": "train", "test": "t10k"}
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
HELP = "Install Debian's package dataset-fashion-mnist, or get the four .gz files of https://github.com/zalandoresearch/fashion-mnist."


LARGEST = 2**29
"""Most bytes that a file may unpack to, more than any file of this set or others in its format: a header may claim any size."""


class FashionMnist(Source):
    """The whole of Fashion-MNIST from its gzipped files; Debian's folder is found by itself."""

    ARGUMENT = "[DIR]"

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Reads the two files of one part."""
        folder = find("fashion-mnist", self.argument, _has, (DEBIAN,), HELP)
        stem = STEMS[part]
        labels = read_idx(_file(folder, f"{stem}-labels-idx1-ubyte"), 1)
        pixels = read_idx(_file(folder, f"{stem}-images-idx3-ubyte"), 3)
        return Raw(pixels[:, None], labels, CLASSES)

    def contents(self) -> Contents:
        """The numbers of the published set; no file is read."""
        return Contents(1, len(CLASSES))


def read_idx(path: Path, axes: int) -> NDArray[Any]:
    """Reads an IDX file of bytes, gzipped or not, as an array with `axes` axes.

    Raises:
        DataError: when the file is missing, truncated or in another format.
    """
    header, magic = 4 + 4 * axes, 0x0800 + axes
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            begin = file.read(header)
            if len(begin) < header:
                raise DataError(f"{path}: {len(begin)} bytes are too few for an IDX file. Get it again.")
            found, *shape = struct.unpack(f">{1 + axes}I", begin)
            if found != magic:
                raise DataError(
                    f"{path}: begins with {found:#010x}. Needed: an IDX file, {axes} axes of bytes, {magic:#010x}. Get it again."
                )
            check_bytes(str(path), math.prod(shape), LARGEST)
            content = file.read(math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}. Get the file again.") from None
    if len(content) != math.prod(shape):
        more = "more" if len(content) > math.prod(shape) else f"{len(content)}"
        raise DataError(f"{path}: {more} bytes of data where its header says {math.prod(shape)}. Get the file again.")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _has(folder: Path) -> bool:
    return any(_file(folder, f"{stem}-images-idx3-ubyte").is_file() for stem in STEMS.values())


def _file(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"
