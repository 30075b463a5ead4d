"""Pictures in class folders: ``folder:DIR`` with ``train/CLASS/*.jpg`` and ``test/`` or ``val/``, or with ``CLASS/*.jpg`` alone.

Without ``train/`` a fifth of each class is set aside as the test part, the same pictures every time. Folders inside a class
folder belong to the class. The pictures are decoded once at the given resolution (224 by default) into one file in the cache
folder, which all trainings on a machine share. When only some classes are wanted, only their pictures are decoded.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcdnas.data._base import Contents, Listed, Part, Raw, Source, chosen
from dcdnas.data._decoded import Decoded, kept, state_of
from dcdnas.data._picture import CHANNELS, SUFFIXES, Depth, Picture, shown
from dcdnas.data._summary import left_out
from dcdnas.errors import DataError

__all__ = ["Folder"]

RESOLUTION = 224
TEST_SHARE = 0.2
"""Share of each class that is the test part, when the folder has no ``train/``."""

PARTS: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation"),
}
LAYOUT = "Needed: CLASS/*.jpg, or train/CLASS/*.jpg and test/CLASS/*.jpg or val/CLASS/*.jpg."


class Files(NamedTuple):
    """The pictures of a part with their labels, and notes about other files."""

    paths: list[Path]
    labels: list[int]
    notes: tuple[str, ...]


class Folder(Source):
    """Pictures in class folders: DIR/CLASS/*.jpg, or DIR/train/CLASS/*.jpg and for the test part DIR/test or DIR/val."""

    ARGUMENT = "DIR"
    DECODES = True

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Maps the decoded pictures of one part into memory; decodes them at the first call."""
        root = Path(self.argument).expanduser()
        every = _classes(_folder(root, "train"))
        names = chosen(tuple(every), classes)
        files, train = (_files(root, which, every, names) for which in (part, "train"))
        side, as_train = resolution or RESOLUTION, part == "train"

        def train_depth() -> Depth | None:
            return None if as_train else self._decoded(train, state_of(train.paths), side).summary.of_depth

        state = state_of(files.paths) if as_train else f"{state_of(files.paths)}\0train{state_of(train.paths)}"
        found = self._decoded(files, state, side, train_depth, self.grey_range)
        damaged = tuple(reason for _, reason in found.summary.damaged)
        notes = (*found.summary.notes(), *files.notes)
        return Raw(found.pixels, np.array(files.labels)[found.rows], names, notes, damaged, found.summary.grey_range)

    def listed(self, part: Part, classes: int = 0) -> Listed:
        """Lists the pictures of one part in the same order as `read`."""
        root = Path(self.argument).expanduser()
        every = _classes(_folder(root, "train"))
        names = chosen(tuple(every), classes)
        files = _files(root, part, every, names)
        return Listed(files.paths, files.labels, names, files.notes)

    def contents(self) -> Contents:
        """Counts the class folders; no picture is opened."""
        return Contents(CHANNELS, len(_classes(_folder(Path(self.argument).expanduser(), "train"))))

    def _decoded(
        self,
        files: Files,
        state: str,
        side: int,
        depth: Callable[[], Depth | None] = lambda: None,
        grey_range: float | None = None,
    ) -> Decoded:
        def pictures() -> Iterator[Picture]:
            return ((shown(path), path) for path in files.paths)

        return kept(state, len(files.paths), side, pictures, self.skip, depth, grey_range)


def _folder(root: Path, part: Part) -> Path:
    """The folder that contains the class folders of a part; without ``train/`` it is `root` for both parts.

    For the test part it is ``test`` if that has class folders (ImageNet's ``test`` has no labels), else ``val``.
    """
    if not root.is_dir():
        raise DataError(f"{shown(root)}: no such folder. {LAYOUT}")
    folders = {entry.name.lower(): entry for entry in sorted(root.iterdir()) if entry.is_dir()}
    train = next((folders[name] for name in PARTS["train"] if name in folders), None)
    if train is None and any(name in folders for name in PARTS["test"]):
        raise DataError(f"{shown(root)}: has no folder train beside {', '.join(sorted(folders))}. {LAYOUT}")
    if part == "train" or train is None:
        return train or root
    for name in PARTS["test"]:
        if name in folders and any(entry.is_dir() for entry in folders[name].iterdir()):
            return folders[name]
    raise DataError(f"{shown(root)}: has neither test/CLASS nor val/CLASS. {LAYOUT}")


def _unused(root: Path) -> list[str]:
    """Names of the folders in `root` that are neither the training nor the test part."""
    used = {_folder(root, "train")}
    with suppress(DataError):
        used.add(_folder(root, "test"))
    return [shown(e.name) for e in sorted(root.iterdir()) if e.is_dir() and not e.name.startswith(".") and e not in used]


def _classes(folder: Path) -> dict[str, Path]:
    """The class folders, by printable name."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not entries:
        raise DataError(f"{shown(folder)}: has no class folders. {LAYOUT}")
    return {shown(entry.name): entry for entry in entries}


def _files(root: Path, part: Part, every: dict[str, Path], names: tuple[str, ...]) -> Files:
    folder = _folder(root, part)
    unknown = sorted(set(_classes(folder)) - set(every))
    if unknown:
        raise DataError(f"{folder / unknown[0]}: no such class in {root / 'train'}. Allowed: the same class folders in both.")
    here, beside = _classes(folder), Counter[str]()
    if len(here) == 1 and part == "train":
        raise DataError(
            f"{shown(folder)}: has one class folder, {next(iter(here))}. Needed: two or more; or name the folder below it."
        )
    paths, labels = list[Path](), list[int]()
    for label, name in enumerate(names):
        if name not in here:
            continue
        pictures = _pictures(here[name], beside)
        if folder == root:
            pictures = _half(pictures, here[name], part)
        paths += pictures
        labels += [label] * len(pictures)
    loose = sum(entry.suffix.lower() in SUFFIXES for entry in folder.iterdir() if entry.is_file())
    also = [f"{loose:,} outside the class folders"] if loose else []
    also += [f"the folder {name}" for name in _unused(root)] if folder != root else []
    notes = left_out(beside, also)
    if folder == root:
        share = f"{100 * TEST_SHARE:.0f} % of each class, the same ones every time, are the test part"
        notes = (f"no folder train: {share}", *notes)
    if not paths:
        raise DataError(f"{shown(folder)}: no pictures of {', '.join(names[:10])} for the {part} part. {LAYOUT}")
    return Files(paths, labels, notes)


def _half(pictures: list[Path], folder: Path, part: Part) -> list[Path]:
    """The pictures of a class in one part, split by a hash of their names, so that adding a picture moves hardly any other."""
    drawn = sorted(pictures, key=lambda path: hashlib.sha256(os.fsencode(path.relative_to(folder))).digest())
    count = min(max(1, round(TEST_SHARE * len(pictures))), len(pictures) - 1)
    return sorted(drawn[:count] if part == "test" else drawn[count:])


def _pictures(folder: Path, beside: Counter[str]) -> list[Path]:
    """The pictures of a class folder and of the folders in it; counts other files in `beside`, by suffix."""
    found = []
    for path in _walked(folder, set()):
        if path.suffix.lower() in SUFFIXES:
            found.append(path)
        else:
            beside[shown(path.suffix.lower())] += 1
    if not found:
        raise DataError(f"{shown(folder)}: has no pictures. Allowed: {', '.join(sorted(SUFFIXES))}.")
    return sorted(found)


def _walked(folder: Path, seen: set[str]) -> Iterator[Path]:
    """All entries that are not hidden or folders. Links are followed, but no folder is visited twice.

    Links to nothing and special files are included, so that those that are named like pictures are reported as damaged.
    """
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walked(entry, seen)
        else:
            yield entry
