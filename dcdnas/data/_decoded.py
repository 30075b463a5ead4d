"""Picture files decoded once, into one file of bytes that every process of a machine maps instead of reading.

While one process decodes, others that want the same images wait for it; a crash or a full disk leaves nothing that looks whole.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dcdnas.core.cache import cache_folder, cached_file
from dcdnas.errors import DataError

BLOCK = 512
"""Pictures that wait in memory, decoded, to be written."""

_UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for a file that is damaged, no picture, or far too large."""

Picture = tuple[str, Path | bytes]
"""What a message calls a picture, and its file or what is in it."""


def decoded(files: Sequence[Path], resolution: int) -> NDArray[Any]:
    """Picture files as (N, 3, resolution, resolution) uint8; see `kept`. When one changes, a new file is made.

    Raises:
        DataError: when a picture is damaged, or the file cannot be written.
    """
    return kept(state_of(files), len(files), resolution, lambda: ((str(path), path) for path in files))


def kept(state: str, count: int, resolution: int, pictures: Callable[[], Iterable[Picture]]) -> NDArray[Any]:
    """Pictures as (count, 3, resolution, resolution) uint8, mapped from a file that is made at the first call.

    Each picture is cut to its central square and scaled to the resolution.

    Args:
        state: what the pictures are, in a text that changes when they do; the file is named after it.
        count: of the pictures.
        resolution: side of the images.
        pictures: gives them in their order, when the file has to be made.

    Raises:
        DataError: when a picture is damaged, or the file cannot be written.
    """
    digest = hashlib.sha256(f"1 {resolution}{state}".encode()).hexdigest()[:24]
    name, shape = f"images-{digest}.npy", (count, 3, resolution, resolution)
    try:
        path = cached_file(name, lambda file: _write(file, pictures(), shape))
    except OSError as error:
        where, needed = cache_folder() / name, f"{np.prod(shape) / 1e6:.0f} MB"
        raise DataError(
            f"{where}: cannot be written: {error.strerror or error}. Needed: {needed}; make room or set DCDNAS_CACHE."
        ) from None
    return _mapped(path, shape)


def decode(picture: Picture, resolution: int) -> NDArray[Any]:
    """One picture as (3, resolution, resolution) uint8.

    Raises:
        DataError: when it is damaged or no picture.
    """
    name, content = picture
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
            # A JPEG is decoded at a half, quarter or eighth of its size where that is still large enough.
            opened.draft("RGB", (resolution, resolution))
            square = ImageOps.fit(opened.convert("RGB"), (resolution, resolution), Image.Resampling.BICUBIC)
    except _UNREADABLE as error:
        raise DataError(f"{name}: no readable picture ({error}). Get it again or take it out.") from None
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def side_of(picture: Picture) -> int:
    """The shorter side of a picture in pixels.

    Raises:
        DataError: when it is damaged or no picture.
    """
    name, content = picture
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
            return min(opened.size)
    except _UNREADABLE as error:
        raise DataError(f"{name}: no readable picture ({error}). Get it again or take it out.") from None


def state_of(files: Sequence[Path]) -> str:
    """Paths, sizes and times of some files, which change when one does."""
    states = ((path.absolute(), path.stat()) for path in files)
    return "".join(f"\0{path}\0{state.st_size}\0{state.st_mtime_ns}" for path, state in states)


def _write(file: IO[bytes], pictures: Iterable[Picture], shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    waiting = iter(pictures)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while block := list(islice(waiting, BLOCK)):
            for pixels in pool.map(lambda picture: decode(picture, shape[-1]), block):
                file.write(pixels.tobytes())


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
