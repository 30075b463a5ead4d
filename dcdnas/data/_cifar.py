"""Reads the binary files of the CIFAR sets: records of one or two label bytes and 3,072 pixel bytes (red, green, blue planes).

The archive may be packed or unpacked. The Python version of these sets consists of pickles and is never read, because loading a
pickle can run arbitrary code.

Reference: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from pathlib import Path
from typing import IO, ClassVar, cast

import numpy as np

from dcdnas.data._base import Contents, Part, Raw, Source
from dcdnas.data._find import find
from dcdnas.data._limits import check_bytes
from dcdnas.errors import DataError

PIXELS = 3 * 32 * 32

LARGEST = 2**28
"""Most bytes that an archive or a file in it may unpack to, more than either set needs: an archive may claim any size."""


class Cifar(Source):
    """Base class of both sets; a subclass defines the names of its files."""

    ARGUMENT = "[DIR]"
    NAME: ClassVar[str]
    ARCHIVE: ClassVar[str]
    FOLDER: ClassVar[str]
    FILES: ClassVar[dict[Part, tuple[str, ...]]]
    NAMES: ClassVar[str]
    """Name of the file with the class names."""
    CLASSES: ClassVar[int]
    LABELS: ClassVar[int]
    """Number of label bytes in a record; the last one is the label."""
    IMAGES: ClassVar[dict[Part, int]]
    """Number of images in each file of a part."""

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Reads the files of one part from the archive or its unpacked folder."""
        wanted = (*self.FILES[part], self.NAMES)
        place = self._place()
        found = _from_archive(place, wanted) if place.is_file() else _from_folder(place, wanted)
        for name in self.FILES[part]:
            self._check(place, name, found.get(name), self.IMAGES[part])
        joined = b"".join(found[name] for name in self.FILES[part])
        records = np.frombuffer(joined, np.uint8).reshape(-1, self.LABELS + PIXELS)
        pixels = np.ascontiguousarray(records[:, self.LABELS :]).reshape(-1, 3, 32, 32)
        return Raw(pixels, records[:, self.LABELS - 1], self._classes(found.get(self.NAMES, b"")))

    def contents(self) -> Contents:
        """The numbers of the published set; no file is read."""
        return Contents(3, self.CLASSES)

    def _place(self) -> Path:
        help = f"Get {self.ARCHIVE} (the binary version; pickled ones are never read) from https://www.cs.toronto.edu/~kriz/cifar.html."
        base = find(self.NAME, self.argument, lambda p: self._inside(p) is not None, help=help)
        place = self._inside(base)
        assert place is not None
        return place

    def _inside(self, base: Path) -> Path | None:
        """The archive or the folder of the files, at or directly below `base`."""
        if base.is_file():
            return base
        files = [name for names in self.FILES.values() for name in names]
        for folder in (base / self.FOLDER, base):
            if any((folder / name).is_file() for name in files):
                return folder
        return base / self.ARCHIVE if (base / self.ARCHIVE).is_file() else None

    def _check(self, place: Path, name: str, content: bytes | None, images: int) -> None:
        if content is None:
            raise DataError(f"{place}: {name} is missing. Needed: the files of {self.ARCHIVE}; get it again.")
        expected = images * (self.LABELS + PIXELS)
        if len(content) != expected:
            raise DataError(f"{place}: {name} has {len(content)} bytes. Needed: {expected} ({images} images); get it again.")

    def _classes(self, names: bytes) -> tuple[str, ...]:
        lines = [line.strip() for line in names.decode("utf-8", "replace").splitlines() if line.strip()]
        return tuple(lines) if len(lines) == self.CLASSES else tuple(str(label) for label in range(self.CLASSES))


def _from_folder(folder: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for path in (folder / name for name in wanted if (folder / name).is_file()):
        check_bytes(str(path), path.stat().st_size, LARGEST)
        found[path.name] = path.read_bytes()
    return found


def _from_archive(path: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    """The wanted files by their base names; nothing is written to the disk."""
    found: dict[str, bytes] = {}
    try:
        with _unpacked(path) as stream, tarfile.open(fileobj=Bounded(path, stream), mode="r|") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                content = archive.extractfile(member) if name in wanted else None
                if content is not None:
                    check_bytes(f"{path}: {name}", member.size, LARGEST)
                    found[name] = content.read()
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: damaged or no tar archive ({error}). Get the file again.") from None
    return found


def _unpacked(path: Path) -> IO[bytes]:
    """Opens the archive and decompresses it with the method that its first bytes indicate."""
    with path.open("rb") as file:
        begin = file.read(6)
    if begin.startswith(b"BZh"):
        return bz2.open(path)
    if begin.startswith(b"\xfd7zXZ"):
        return lzma.open(path)
    if begin.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(path))
    return path.open("rb")


class Bounded(io.RawIOBase):
    """A stream that refuses to be read beyond `LARGEST` bytes, however large it unpacks to.

    Args:
        path: named in the error message.
        stream: to read from.
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._stream, self._given = path, stream, 0

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes; raises DataError when more than `LARGEST` have been requested in total."""
        self._given += max(0, size)
        check_bytes(str(self._path), self._given, LARGEST)
        return self._stream.read(size)
