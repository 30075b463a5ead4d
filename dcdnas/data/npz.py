"""One NumPy archive: ``npz:FILE``.

Arrays: `train_images`, `train_labels`, and for the test part `test_images`, `test_labels` (or `x_train`, `y_train`, `x_test`,
`y_test`); `classes` with their names may be there. Images are uint8 of shape (N, H, W), (N, C, H, W) or (N, H, W, C).
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcdnas.data._base import Part, Raw, Source
from dcdnas.errors import DataError

__all__ = ["Npz"]

KEYS: dict[Part, tuple[tuple[str, str], ...]] = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}


class Npz(Source):
    """A .npz file with `train_images`, `train_labels`, `test_images`, `test_labels` and, if you like, `classes`."""

    ARGUMENT = "FILE"

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Reads one part; the arrays of the other one are not touched."""
        return read_npz(Path(self.argument).expanduser(), part)


def read_npz(path: Path, part: Part) -> Raw:
    """One part of an archive.

    Raises:
        DataError: when the file is missing or damaged, or lacks the arrays.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give a NumPy archive: npz:FILE.")
    try:
        with path.open("rb") as file:
            # Without pickles an archive can hold numbers and strings only, so reading a stranger's file is safe.
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: one array, not an archive of arrays. Write it with numpy.savez_compressed.")
            with archive:
                return _part(path, part, archive)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        # NumPy advises to load what it does not know with pickles on, which could run code
        reason = "pickled objects, which are never read" if "pickle" in str(error) else error
        raise DataError(f"{path}: damaged, or no NumPy archive ({reason}). Get or write the file again.") from None


def _part(path: Path, part: Part, archive: Any) -> Raw:
    found = [keys for keys in KEYS[part] if set(keys) <= set(archive.files)]
    if not found:
        images, labels = KEYS[part][0]
        raise DataError(f"{path}: has {', '.join(sorted(archive.files)) or 'no arrays'}. Needed: {images} and {labels}.")
    pixels, labels = (archive[key] for key in found[0])
    labels = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if "classes" in archive.files:
        classes = tuple(str(name) for name in archive["classes"])
    else:
        highest = int(labels.max()) if labels.size and labels.dtype.kind in "iu" else 0
        classes = tuple(str(label) for label in range(highest + 1))
    return Raw(channels_first(pixels), labels, classes)


def channels_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """(N, H, W) and (N, H, W, C) as (N, C, H, W); anything else as it is."""
    if pixels.ndim == 3:
        return pixels[:, None]
    if pixels.ndim == 4 and pixels.shape[3] in (1, 3, 4) and pixels.shape[1] not in (1, 3, 4):
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    return pixels
