"""Picture files decoded once, into one file of bytes that every process of a machine maps instead of reading.

The file is written under another name, whole, and then renamed: a crash or a full disk leaves nothing that looks finished. While
one process decodes, others that want the same images wait for it.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dcdnas.errors import DataError

BLOCK = 512
"""Pictures that wait in memory, decoded, to be written."""


def decoded(files: Sequence[Path], resolution: int) -> NDArray[Any]:
    """Pictures as (N, 3, resolution, resolution) uint8, mapped from a file that is made at the first call.

    Each picture is cut to its central square and scaled to the resolution. The file is named after the pictures' paths, sizes
    and times: when one changes, a new file is made.

    Raises:
        DataError: when a picture is damaged, or the file cannot be written.
    """
    path = cache_folder() / f"images-{_digest(files, resolution)}.npy"
    shape = (len(files), 3, resolution, resolution)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if not path.exists():
                _write(path, files, shape)
    except OSError as error:
        needed = f"{np.prod(shape) / 1e6:.0f} MB"
        raise DataError(
            f"{path}: cannot be written: {error.strerror or error}. Needed: {needed}; make room or set DCDNAS_CACHE."
        ) from None
    return _mapped(path, shape)


def cache_folder() -> Path:
    """``DCDNAS_CACHE``, else ``dcdnas`` in the user's cache folder."""
    named = os.environ.get("DCDNAS_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named).expanduser() if named else Path(home).expanduser() / "dcdnas"


def decode(path: Path, resolution: int) -> NDArray[Any]:
    """One picture as (3, resolution, resolution) uint8.

    Raises:
        DataError: when it is damaged or no picture.
    """
    try:
        with Image.open(path) as picture:
            # A JPEG is decoded at a half, quarter or eighth of its size where that is still large enough.
            picture.draft("RGB", (resolution, resolution))
            square = ImageOps.fit(picture.convert("RGB"), (resolution, resolution), Image.Resampling.BICUBIC)
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: no readable picture ({error}). Get the file again or take it out of the folder.") from None
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def _write(path: Path, files: Sequence[Path], shape: tuple[int, ...]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            _write_pictures(file, pool, files, shape[-1])
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _write_pictures(file: IO[bytes], pool: ThreadPoolExecutor, files: Sequence[Path], resolution: int) -> None:
    for start in range(0, len(files), BLOCK):
        for pixels in pool.map(lambda path: decode(path, resolution), files[start : start + BLOCK]):
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


def _digest(files: Sequence[Path], resolution: int) -> str:
    digest = hashlib.sha256(f"1 {resolution}".encode())
    for path in files:
        state = path.stat()
        digest.update(f"\0{path.absolute()}\0{state.st_size}\0{state.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with its process. Where there are no locks, the work may be done twice."""
    with path.open("w") as file:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
