"""Decodes picture files once into a single file, which every process of a machine maps into memory.

While one process decodes, others that need the same images wait for it. A crash or a full disk leaves no seemingly complete file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.cache import cache_folder, cached_file
from dcdnas.data._limits import PICTURES, check_bytes
from dcdnas.data._picture import Depth, Facts, Picture, decode, depth_of, facts
from dcdnas.data._summary import Summary, read_summary
from dcdnas.errors import DataError

BLOCK = 512
"""Most decoded pictures that are held in memory before they are written."""

HELD = 2**28
"""Most bytes that these pictures take."""


class Decoded(NamedTuple):
    """Decoded pictures: their pixels (K, 3, R, R), their numbers among all pictures (K,), and a summary of the pictures."""

    pixels: NDArray[Any]
    rows: NDArray[Any]
    summary: Summary


def kept(
    state: str,
    count: int,
    resolution: int,
    pictures: Callable[[], Iterable[Picture]],
    skip: float = 0.0,
    depth: Callable[[], Depth | None] = lambda: None,
    grey_range: float | None = None,
) -> Decoded:
    """Returns pictures as (count, 3, resolution, resolution) uint8, mapped from a file that is written at the first call.

    Each picture is cut to its central square and scaled to the resolution. Damaged pictures that may be left out are missing.

    Args:
        state: a text that changes whenever the pictures do; the name of the file depends on it.
        count: number of pictures.
        resolution: side of the images in pixels.
        pictures: returns the pictures in order; called only when the file has to be written.
        skip: how many damaged pictures may be left out: a share below 1, else a number.
        depth: returns the scale for grey pictures with more than 8 bits; None to use their own largest value.
        grey_range: value of grey pictures with more than 8 bits that becomes 255, whatever `depth` returns; None for `depth`.

    Raises:
        DataError: when more pictures are damaged, or the file cannot be written.
    """
    if grey_range:
        usual = kept(state, count, resolution, pictures, skip, depth)
        if usual.summary.grey_range in (None, grey_range):  # the file that a training on these pictures has made, too
            return usual
        state, depth = f"{state}\0exactly{grey_range}", lambda: depth_of(grey_range)
    digest = hashlib.sha256(f"2 {resolution}{state}".encode("utf-8", "surrogateescape")).hexdigest()[:24]
    name, shape = f"images-{digest}.npy", (count, 3, resolution, resolution)
    check_bytes(f"pictures of {resolution}x{resolution}", 16 * resolution**2, PICTURES)
    try:
        path = cached_file(name, lambda file: _write(file, pictures, shape, skip, depth))
    except OSError as error:
        where, needed = cache_folder() / name, f"{3 * count * resolution**2 / 1e6:.0f} MB"
        raise DataError(
            f"{where}: cannot be written: {error.strerror or error}. Needed: {needed}; make room or set DCDNAS_CACHE."
        ) from None
    summary = _summary(path)
    summary.check(skip)
    rows = np.setdiff1d(np.arange(count), [number for number, _ in summary.damaged])
    return Decoded(_mapped(path, (len(rows), *shape[1:])), rows, summary)


def state_of(files: Sequence[Path]) -> str:
    """A text of the paths, sizes and modification times of some files, which changes when one of them does."""
    states = ((path.absolute(), path.stat() if path.exists() else path.lstat()) for path in files)
    return "".join(f"\0{path}\0{state.st_size}\0{state.st_mtime_ns}" for path, state in states)


def _write(
    file: IO[bytes],
    pictures: Callable[[], Iterable[Picture]],
    shape: tuple[int, int, int, int],
    skip: float,
    depth: Callable[[], Depth | None],
) -> None:
    """Writes a NumPy array, followed by the summary and the summary's length in eight bytes."""
    count, channels, resolution, _ = shape
    if count * channels * resolution**2 > shutil.disk_usage(cache_folder()).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    start = _write_header(file, shape)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        summary, deep = _write_pictures(file, pool, pictures(), resolution)
    summary.check(skip)
    if deep:
        summary.scale_by(depth())
        _write_deep(file, start, pictures(), resolution, deep, summary)
    file.seek(0)
    _write_header(file, (count - len(summary.damaged), *shape[1:]))
    file.seek(0, os.SEEK_END)
    written = summary.written().encode()
    file.write(written + len(written).to_bytes(8))


def _summary(path: Path) -> Summary:
    try:
        with path.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(8))
            file.seek(-8 - length, os.SEEK_END)
            return read_summary(file.read(length).decode())
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: damaged ({error}). Delete it; it is made again.") from None


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> int:
    """Writes the array header, whose size does not depend on the number of pictures; returns the offset of the pixels."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _write_pictures(
    file: IO[bytes], pool: ThreadPoolExecutor, pictures: Iterable[Picture], resolution: int
) -> tuple[Summary, dict[int, int]]:
    """Writes all readable pictures. For grey ones with more than 8 bits only space is reserved; returns number -> position."""
    summary, deep, waiting = Summary(), dict[int, int](), iter(pictures)
    size = max(1, min(BLOCK, HELD // (3 * resolution**2)))
    while block := list(islice(waiting, size)):
        for found in pool.map(lambda picture: _one(picture, resolution), block):
            number, summary.count = summary.count, summary.count + 1
            if isinstance(found, DataError):
                summary.damaged.append((number, str(found)))
                continue
            facts, pixels = found
            summary.add(facts)
            if pixels is None:
                deep[number] = number - len(summary.damaged)
            file.write(bytes(3 * resolution**2) if pixels is None else pixels.tobytes())
    return summary, deep


def _one(picture: Picture, resolution: int) -> tuple[Facts, NDArray[Any] | None] | DataError:
    try:
        found = facts(picture)
        return found, None if found.depth else decode(picture, resolution)
    except DataError as error:
        return error


def _write_deep(
    file: IO[bytes], start: int, pictures: Iterable[Picture], resolution: int, places: Mapping[int, int], summary: Summary
) -> None:
    """Writes the pictures that could not be scaled before the largest value of all was known."""
    for number, picture in enumerate(pictures):
        if number in places:
            file.seek(start + places[number] * 3 * resolution**2)
            file.write(decode(picture, resolution, summary.of_depth).tobytes())


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """Maps the file, whose pages all processes share, copy-on-write: writing to the array does not change the file."""
    try:
        pixels: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: damaged ({error}). Delete it; it is made again.") from None
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise DataError(
            f"{path}: holds {pixels.dtype} of shape {pixels.shape}, not uint8 of {shape}. Delete it; it is made again."
        )
    return pixels
