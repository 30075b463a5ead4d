"""Output of `dcdnas predict` for a network that scores pixels: the mask of each picture, and the shares of its classes."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.files import make_folder, write_whole
from dcdnas.data import UNLABELLED, colour, mask_png, size_of
from dcdnas.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

LEGEND, HEAD = "classes.csv", ("value", "class", "colour")
"""The file beside the masks that states the meaning of their values, and the headings of its columns."""


class Masks:
    """A folder with one mask per picture, under the pictures' paths relative to their common folder.

    Args:
        folder: folder to write to, which is made; None to write no masks.
        pictures: pictures whose masks are written.
        classes: names of the classes.

    Raises:
        UsageError: when the folder has files that are not masks of an earlier prediction, or a mask would overwrite a picture.
        RunError: when the folder cannot be written to.
    """

    def __init__(self, folder: Path | None, pictures: Sequence[Path], classes: Sequence[str]) -> None:
        self.files = {} if folder is None else mask_files(folder, pictures)
        if folder is None:
            return
        _check_folder(folder)
        replaced = {os.path.realpath(p) for p in pictures} & {os.path.realpath(m) for m in self.files.values()}
        if replaced:
            raise UsageError(f"{min(replaced)} is a picture, which its mask would overwrite. Name another folder with -o.")
        make_folder(folder)
        write_whole(folder / LEGEND, _legend(classes))

    def write(self, picture: Path, answer: Tensor) -> str:
        """Writes a picture's mask (H, W) and returns its path; empty if no masks are written.

        Raises:
            DataError: when the picture is no longer readable.
            Resumable: when the disk is full.
        """
        if picture not in self.files:
            return ""
        path = self.files[picture]
        make_folder(path.parent)
        write_whole(path, mask_png(answer.byte().numpy(), size_of((str(picture), picture))))
        return str(path)


def mask_files(folder: Path, pictures: Sequence[Path]) -> Mapping[Path, Path]:
    """Maps each picture to its mask file: its name with the suffix ``.png``, which is appended where two would be the same."""
    shared = Path(os.path.commonpath([os.path.abspath(picture.parent) for picture in pictures]))
    inside = {picture: Path(os.path.abspath(picture)).relative_to(shared) for picture in pictures}
    names = {picture: str(path.with_suffix(".png")) for picture, path in inside.items()}
    while len(alike := Counter(names.values())) < len(names):
        names = {p: name if alike[name] == 1 else f"{inside[p]}.png" for p, name in names.items()}
    return {picture: folder / name for picture, name in names.items()}


def shares(answer: Tensor, classes: Sequence[str], top: int) -> list[dict[str, Any]]:
    """Returns the classes that cover most of a mask (H, W), with their shares of its pixels."""
    counts = answer.flatten().bincount(minlength=len(classes)).double() / answer.numel()
    values, numbers = counts.topk(min(top, len(classes)))
    return [{"class": classes[n], "share": v} for v, n in zip(values.tolist(), numbers.tolist(), strict=True) if v > 0]


def _legend(classes: Sequence[str]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEAD)
    for number, name in [*enumerate(classes), (UNLABELLED, "")]:
        rows.writerow((number, name, "#{:02x}{:02x}{:02x}".format(*colour(number))))
    return text.getvalue()


def _check_folder(folder: Path) -> None:
    """Raises UsageError for a folder with files that are not of an earlier prediction, because masks could overwrite them."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not has_masks(folder):
        raise UsageError(f"{folder} has files that are not masks of an earlier prediction. Name a new folder with -o.")


def has_masks(folder: Path) -> bool:
    """Whether a folder has the masks of an earlier prediction, by the file that states the meaning of their values."""
    legend = folder / LEGEND
    return legend.is_file() and legend.read_text(encoding="utf-8", errors="replace").startswith(",".join(HEAD))
