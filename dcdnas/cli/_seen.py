"""Predictions for pictures as a table and as CSV: the classes of each picture, each with a number."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcdnas.cli._tables import Sheet


@dataclass(frozen=True)
class Seen:
    """Structure of the rows of predictions, each of which is a mapping with ``image``.

    Args:
        answers: key of a row's predictions, a list of mappings with ``class``, the highest number first.
        number: key of the number of a prediction, 0-1.
        title: heading of the column with the first prediction's number.
        more: further keys that rows may have, for CSV.
    """

    answers: str
    number: str
    title: str
    more: tuple[str, ...] = ()

    def table(self, rows: Sequence[Mapping[str, Any]]) -> Sheet:
        """Makes a table with one row per picture."""
        sheet = Sheet(("Picture", "Class", f">{self.title}", "Then"), spare=("Then",))
        for row in rows:
            first, *others = row[self.answers]
            then = ", ".join(f"{p['class']} {100 * p[self.number]:.1f}\N{NO-BREAK SPACE}%" for p in others)
            sheet.add_row(row["image"], first["class"], f"{100 * first[self.number]:.1f} %", then)
        return sheet

    def print_csv(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Prints CSV with one row for each picture and class."""
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(("image", "rank", "class", self.number, *self.more))
        for row in rows:
            for rank, found in enumerate(row[self.answers], 1):
                further = (row.get(key, "") for key in self.more)
                table.writerow((row["image"], rank, found["class"], f"{found[self.number]:.6f}", *further))


CLASSES = Seen("predictions", "probability", "Probability")
"""Predictions of a classifier."""

PIXELS = Seen("shares", "share", "Share of it", ("mask",))
"""Predictions of a network that scores pixels."""
