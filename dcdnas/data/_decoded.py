"""Picture files decoded once, into one file of bytes that every process of a machine maps instead of reading.

While one process decodes, others that want the same images wait for it; a crash or a full disk leaves nothing that looks whole.
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
from dcdnas.data._picture import Depth, Facts, Picture, decode, facts
from dcdnas.data._summary import Summary, read_summary
from dcdnas.errors import DataError

BLOCK = 512
"""Pictures that wait in memory, decoded, to be written."""

HELD = 2**28
"""Bytes that they take at most."""


class Decoded(NamedTuple):
    """Pictures that were decoded: their pixels (K, 3, R, R), which of all they are (K,), and what they are."""

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
) -> Decoded:
    """Pictures as (count, 3, resolution, resolution) uint8, mapped from a file that is made at the first call.

    Each picture is cut to its central square and scaled to the resolution.

    Args:
        state: what the pictures are, in a text that changes when they do; the file is named after it.
        count: of the pictures.
        resolution: side of the images.
        pictures: gives them in their order, when the file has to be made.
        skip: how many damaged ones may be left out: a share below 1, else a number.
        depth: by which grey pictures with more than 8 bits are scaled; None for their own.

    Raises:
        DataError: when more pictures are damaged, or the file cannot be written.
    """
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
    """Paths, sizes and times of some files, which change when one does."""
    states = ((path.absolute(), path.stat()) for path in files)
    return "".join(f"\0{path}\0{state.st_size}\0{state.st_mtime_ns}" for path, state in states)


def _write(
    file: IO[bytes],
    pictures: Callable[[], Iterable[Picture]],
    shape: tuple[int, int, int, int],
    skip: float,
    depth: Callable[[], Depth | None],
) -> None:
    """Writes an array of NumPy, and behind it the summary with its length in eight bytes."""
    count, channels, resolution, _ = shape
    if count * channels * resolution**2 > shutil.disk_usage(cache_folder()).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    start = _write_header(file, shape)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        summary, deep = _write_pictures(file, pool, pictures(), resolution)
    summary.check(skip)
    scale = (depth() if deep else None) or summary.of_depth
    if deep and scale:
        summary.depth = [scale.high, float(scale.floats)]
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
    """Writes what stands before the pixels, which takes the same room for any number of them; returns where they begin."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _write_pictures(
    file: IO[bytes], pool: ThreadPoolExecutor, pictures: Iterable[Picture], resolution: int
) -> tuple[Summary, dict[int, int]]:
    """Writes all that can be read; of grey ones with more than 8 bits only the place, which is returned by their number."""
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
    """Writes the pictures that had to wait until the largest value of all was known."""
    for number, picture in enumerate(pictures):
        if number in places:
            file.seek(start + places[number] * 3 * resolution**2)
            file.write(decode(picture, resolution, summary.of_depth).tobytes())


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """The file's pages, shared by all processes; whoever writes to them gets a private copy, so the file stays as it is."""
    try:
        pixels: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: damaged ({error}). Delete it; it is made again.") from None
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise DataError(
            f"{path}: holds {pixels.dtype} of shape {pixels.shape}, not uint8 of {shape}. Delete it; it is made again."
        )
    return pixels
