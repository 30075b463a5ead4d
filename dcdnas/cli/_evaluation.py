"""Output and files of `dcdnas evaluate` for a classifier."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dcdnas.analysis.judgement import Judgement, Value
from dcdnas.cli._mask_prediction import LEGEND, has_masks
from dcdnas.cli._output import plain
from dcdnas.cli._tables import Sheet
from dcdnas.core.files import make_folder, write_whole
from dcdnas.errors import UsageError
from dcdnas.pages.confusion import confusion_svg

MOST = 20
"""Up to this number of classes, every class has a row and the confusion matrix is shown."""

FEW = 10
"""Number of classes, and of mistakes, that are shown when there are more classes than `MOST`."""


def percent(value: Value, digits: int = 2) -> str:
    """Writes a share with its interval: ``80.12 % (95 %: 78.10 to 81.99)``."""
    v, low, high = (f"{100 * number:.{digits}f}" for number in value)
    return f"{v} % (95 %: {low} to {high})"


def document(found: Judgement, names: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the whole evaluation as plain data; shares are 0-1."""
    top5 = {"top5_accuracy": found.top5.value, "top5_interval": list(found.top5[1:])} if found.top5 else {}
    return {
        "accuracy": found.top1.value, "accuracy_interval": list(found.top1[1:]), **top5,
        "macro_f1": found.f1.value, "macro_f1_interval": list(found.f1[1:]),
        "loss": found.loss,
        "calibration_error": found.calibration_error.value, "calibration_error_interval": list(found.calibration_error[1:]),
        "confidence": found.confidence, "images": found.images, **more,
        "classes": [_of_class(found, number, names) for number in range(len(names))],
        "confusion": found.confusion.tolist(),
    }  # fmt: skip


def _of_class(found: Judgement, number: int, names: Sequence[str]) -> dict[str, Any]:
    one = found.classes[number]
    return {
        "class": names[number],
        "images": one.images,
        **with_ends("recall", one.recall),
        "precision": one.precision,
        "f1": one.f1,
        **mistaken(one.taken_for, names),
    }


def with_ends(name: str, value: Value | None) -> dict[str, float | None]:
    """Returns a value and the ends of its interval as plain data; None where the value is undefined."""
    found = (value.value, value.low, value.high) if value else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))


def mistaken(taken: tuple[int, int] | None, names: Sequence[str]) -> dict[str, Any]:
    """Returns the class that a class is most often mistaken for, and how often."""
    return {"most_often_taken_for": names[taken[0]] if taken else None, "times": taken[1] if taken else 0}


def lines(found: Judgement) -> list[str]:
    """Returns the overall measures, one line each."""
    sure = found.confidence - found.top1.value
    tendency = f"{'over' if sure > 0 else 'under'}confident: mean confidence {100 * found.confidence:.1f} %"
    return [
        f"Accuracy   {percent(found.top1)}",
        *([f"Top 5      {percent(found.top5)}"] if found.top5 else []),
        f"Macro F1   {percent(found.f1)}",
        f"Loss       {found.loss:.4f}",
        f"ECE        {percent(found.calibration_error)}; {tendency}",
    ]


def class_sheet(found: Judgement, names: Sequence[str]) -> Sheet:
    """Makes a table with one row per class; of many classes, those with the lowest F1."""
    numbers, title = [n for n in range(len(names)) if found.classes[n].images], ""
    if len(numbers) > MOST:
        numbers = sorted(numbers, key=lambda n: found.classes[n].f1 or 0.0)[:FEW]
        title = f"The {FEW} classes of the lowest F1"
    columns = ("Class", ">Images", ">Recall", ">95 %", ">Precision", ">F1", "Most often taken for")
    sheet = Sheet(columns, title=title, spare=("95 %", "Images"))
    for n in numbers:
        one = found.classes[n]
        assert one.recall is not None
        taken = f"{names[one.taken_for[0]]}, {one.taken_for[1]}" if one.taken_for else ""
        sheet.add_row(
            names[n], f"{one.images:,}", _rounded(one.recall.value), f"{_rounded(one.recall.low)}-{_rounded(one.recall.high)}",
            _rounded(one.precision), _rounded(one.f1), taken,
        )  # fmt: skip
    return sheet


def confusion_sheet(found: Judgement, names: Sequence[str]) -> Sheet:
    """Makes the table of the confusion matrix; of many classes, the most frequent mistakes."""
    if len(names) > MOST:
        sheet = Sheet(("Class", "Taken for", ">Images", ">Of the class"), title="Most frequent mistakes")
        for a, b, count in found.confusions(FEW):
            sheet.add_row(names[a], names[b], f"{count:,}", f"{100 * count / found.classes[a].images:.1f} %")
        return sheet
    columns = ["Class \\ answer", *(f">{number}" for number in range(len(names)))]
    sheet = Sheet(columns, title="Confusion matrix: images by class and answer")
    for n, name in enumerate(names):
        sheet.add_row(f"{n} {name}", *(f"{count:,}" if count else "·" for count in found.confusion[n].tolist()))
    return sheet


def check_place(folder: Path) -> None:
    """Makes the folder that an evaluation is written to.

    Raises:
        UsageError: when it has masks of `dcdnas predict`, the list of whose classes would be overwritten.
        RunError: when the folder cannot be written to.
    """
    if has_masks(folder):
        raise UsageError(
            f"{folder} has masks of `dcdnas predict`, whose {LEGEND} would be overwritten. Name another folder with -o."
        )
    make_folder(folder)


def write(folder: Path, said: Mapping[str, Any], names: Sequence[str], title: str) -> list[Path]:
    """Writes the evaluation as JSON, both tables as CSV, and a picture of the confusion matrix.

    Raises:
        RunError: when the folder cannot be written to.
        Resumable: when the disk is full.
    """
    make_folder(folder)
    texts = {
        "evaluation.json": json.dumps(plain(said), indent=2, ensure_ascii=False) + "\n",
        "classes.csv": _csv([list(said["classes"][0]), *(list(row.values()) for row in said["classes"])]),
        "confusion.csv": _csv([["class", *names], *([name, *row] for name, row in zip(names, said["confusion"], strict=True))]),
        "confusion.svg": confusion_svg(said["confusion"], names, title),
    }
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _rounded(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
