"""A folder of pictures in the layout of ImageNet: ``folder:DIR`` with ``train/CLASS/*.jpg`` and ``test/`` or ``val/``.

The pictures are decoded once at the resolution asked for (224 when none is) into one file in the cache folder, which all
trainings of a machine share; of a part of the classes only those are decoded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcdnas.data._base import Part, Raw, Source, chosen
from dcdnas.data._decoded import decoded
from dcdnas.errors import DataError

__all__ = ["Folder"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff", ".gif"})
RESOLUTION = 224
LAYOUT = "Needed: train/CLASS/*.jpg, and test/CLASS/*.jpg or val/CLASS/*.jpg."


class Folder(Source):
    """Pictures in class folders: DIR/train/CLASS/*.jpg, and for the test part DIR/test or DIR/val."""

    ARGUMENT = "DIR"

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Maps the decoded pictures of one part; the first time they are decoded."""
        root = Path(self.argument).expanduser()
        every = _classes(root / "train")
        names = chosen(every, classes)
        folder = root / "train" if part == "train" else _test_folder(root)
        unknown = sorted(set(_classes(folder)) - set(every))
        if unknown:
            raise DataError(f"{folder / unknown[0]}: no such class in {root / 'train'}. Allowed: the same class folders in both.")
        found = [
            (path, label) for label, name in enumerate(names) if (folder / name).is_dir() for path in _pictures(folder / name)
        ]
        pixels = decoded([path for path, _ in found], resolution or RESOLUTION)
        return Raw(pixels, np.array([label for _, label in found]), names)


def _test_folder(root: Path) -> Path:
    """``test`` where it has class folders (ImageNet's own has no labels), else ``val``."""
    for folder in (root / "test", root / "val"):
        if folder.is_dir() and any(entry.is_dir() for entry in folder.iterdir()):
            return folder
    raise DataError(f"{root}: has neither test/CLASS nor val/CLASS. {LAYOUT}")


def _classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. {LAYOUT}")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder}: has no class folders. {LAYOUT}")
    return tuple(names)


def _pictures(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    if not files:
        raise DataError(f"{folder}: has no pictures. Allowed: {', '.join(sorted(SUFFIXES))}.")
    return files
