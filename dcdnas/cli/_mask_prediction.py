"""What `dcdnas predict` says and writes of a network that scores pixels: a mask and the shares of the classes of each picture."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcdnas.core.files import make_folder, write_whole
from dcdnas.data import UNLABELLED, colour, mask_png, size_of
from dcdnas.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

LEGEND, HEAD = "classes.csv", ("value", "class", "colour")
"""The file beside the masks that says what their values mean, and its first line."""


class Masks:
    """A folder of masks, one a picture, under the pictures' own names below the folder that they share.

    Args:
        folder: is made; None where none are written.
        pictures: whose masks go there.
        classes: names of the classes.

    Raises:
        UsageError: when the folder has files that are no masks of ours, or a mask would take a picture's place.
        RunError: when it cannot be written to.
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
        """Writes a picture's mask (H, W) and returns its path; empty where none are written.

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
    """Picture -> file of its mask: its name with ``.png`` for its suffix, or behind it where two would have the same."""
    shared = Path(os.path.commonpath([os.path.abspath(picture.parent) for picture in pictures]))
    inside = {picture: Path(os.path.abspath(picture)).relative_to(shared) for picture in pictures}
    short = [path.with_suffix(".png") for path in inside.values()]
    return {
        picture: folder / (path.with_suffix(".png") if short.count(path.with_suffix(".png")) == 1 else f"{path}.png")
        for picture, path in inside.items()
    }


def shares(answer: Tensor, classes: Sequence[str], top: int) -> list[dict[str, Any]]:
    """The classes of a mask (H, W) that cover most of it, with their shares of its pixels."""
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
    """Refuses a folder with files that are not of an earlier prediction, whose names masks may have."""
    legend = folder / LEGEND
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not legend.is_file() or not legend.read_text(encoding="utf-8", errors="replace").startswith(",".join(HEAD)):
        raise UsageError(f"{folder} has files that are not masks of an earlier prediction. Name a new folder with -o.")
