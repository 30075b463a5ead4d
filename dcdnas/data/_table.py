"""Shared by sources that read tables of pictures in the layout of the Hugging Face Hub: parts, columns, decoding once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcdnas.data._base import Contents, Part, Raw, chosen, numbered
from dcdnas.data._decoded import Decoded, kept
from dcdnas.data._picture import CHANNELS, Depth, Picture, side_of
from dcdnas.errors import DataError

PARTS: dict[Part, tuple[str, ...]] = {"train": ("train", "training"), "test": ("test", "validation", "valid", "val")}
"""Possible names of a part; the first with labels is used, because test parts on the Hub often have none."""

IMAGE_COLUMNS = ("image", "img", "images", "picture")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")

LARGEST = 224
"""Side of the images when no resolution is given and the pictures are larger."""


@dataclass(frozen=True)
class Table:
    """One part of a data set.

    Args:
        where: its name in messages.
        state: a text that changes whenever the pictures do.
        labels: (N,) whole numbers.
        classes: names of the classes; empty when the table does not contain them.
        pictures: returns the pictures of some rows, given in ascending order.
    """

    where: str
    state: str
    labels: NDArray[Any]
    classes: tuple[str, ...]
    pictures: Callable[[NDArray[Any]], Iterable[Picture]]


def read_tables(
    tables: Sequence[Table],
    resolution: int,
    classes: int,
    skip: float = 0.0,
    train: Sequence[Table] = (),
    grey_range: float | None = None,
) -> Raw:
    """Reads the first of the tables that has labels and decodes its pictures of the wanted classes.

    Args:
        tables: candidates for the part, in order of preference.
        resolution: side of the images; 0 for that of the first readable picture, at most `LARGEST`.
        classes: how many of the classes; 0 for all.
        skip: how many damaged pictures may be left out: a share below 1, else a number.
        train: the tables of the training part, when `tables` are those of the test part.
        grey_range: value of grey pictures with more than 8 bits that becomes 255; None for that of the training part.

    Raises:
        DataError: when no table has labels, or there is no picture of the wanted classes.
    """
    wanted = _selected(tables, classes)
    state = wanted.state

    def train_depth() -> Depth | None:
        return _decoded(_selected(train, classes), resolution, skip, lambda: None).summary.of_depth if train else None

    if train:
        wanted = wanted._replace(state=f"{state}\0train{_selected(train, classes).state}")
    found = _decoded(wanted, resolution, skip, train_depth, grey_range)
    damaged = tuple(reason for _, reason in found.summary.damaged)
    labels = wanted.labels[found.rows]
    notes = (*found.summary.notes(), *wanted.notes)
    return Raw(found.pixels, labels, wanted.classes, notes, damaged, found.summary.grey_range)


def contents_of(tables: Sequence[Table]) -> Contents:
    """Returns channels and number of classes of the first table that has labels, without opening a picture.

    Raises:
        DataError: when no table has labels.
    """
    return Contents(CHANNELS, len(_selected(tables, 0).classes))


class Selected(NamedTuple):
    """The rows of a table whose classes are wanted, with labels renumbered among these classes."""

    table: Table
    state: str
    rows: NDArray[Any]
    labels: NDArray[Any]
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def _selected(tables: Sequence[Table], classes: int) -> Selected:
    table = next((t for t in tables if len(t.labels) and t.labels.min() >= 0), None)
    if table is None:
        raise DataError(
            f"{', '.join(t.where for t in tables)}: no row has a label. Needed: a label of 0 or more for each picture."
        )
    labels, every, notes = table.labels, table.classes, tuple[str, ...]()
    if not every:
        labels, every, notes = numbered(table.where, labels)
    if labels.max() >= len(every):
        raise DataError(f"{table.where}: label {labels.max()} among {len(every)} classes. Get the files again.")
    names = chosen(every, classes)
    if classes:
        numbers = {name: number for number, name in enumerate(names)}
        labels = np.array([numbers.get(name, -1) for name in every])[labels]
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        raise DataError(
            f"{table.where}: no picture of the classes {', '.join(names)}. Take more classes, or get the files again."
        )
    return Selected(table, f"{table.state}\0{names if classes else ''}", rows, labels[rows], names, notes)


def _decoded(
    wanted: Selected, resolution: int, skip: float, depth: Callable[[], Depth | None], grey_range: float | None = None
) -> Decoded:
    table, rows = wanted.table, wanted.rows
    side = resolution or min(LARGEST, _first_side(table.pictures(rows)))
    return kept(wanted.state, len(rows), side, lambda: table.pictures(rows), skip, depth, grey_range)


def _first_side(pictures: Iterable[Picture]) -> int:
    """Side of the first readable picture; if there is none, raises the error of the first one."""
    errors = list[DataError]()
    for picture in pictures:
        try:
            return side_of(picture)
        except DataError as error:
            errors.append(error)
    raise errors[0]


def column(where: str, has: Sequence[str], wanted: Sequence[str], what: str) -> str:
    """Returns the first of the wanted columns that a table has.

    Raises:
        DataError: when the table has none of them.
    """
    found = next((name for name in wanted if name in has), None)
    if found is None:
        raise DataError(f"{where}: no column of {what} among {', '.join(has)}. Allowed: {', '.join(wanted)}.")
    return found


def whole_numbers(where: str, name: str, labels: NDArray[Any]) -> NDArray[Any]:
    """Returns the labels of a table unchanged after checking that there is one whole number for each picture.

    Args:
        where: named in the error message.
        name: of the column.
        labels: its values.

    Raises:
        DataError: when they are something else, or one is missing.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        kinds = {"U": "text", "O": "text or lists, or some are missing"}
        found = f"{labels.dtype} of shape {labels.shape}" if labels.ndim > 1 else kinds.get(labels.dtype.kind, labels.dtype)
        raise DataError(f"{where}: the labels in {name!r} are {found}. Allowed: whole numbers, none missing.")
    return labels
