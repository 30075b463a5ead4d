"""Output of `dcdnas evaluate` for a network that scores pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcdnas.analysis.mask_judgement import MaskJudgement, OfPixels
from dcdnas.cli._evaluation import FEW, MOST, mistaken, percent, with_ends
from dcdnas.cli._tables import Sheet


def document(found: MaskJudgement, names: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the whole evaluation as plain data; shares are 0-1."""
    return {
        "mean_iou": found.mean_iou.value, "mean_iou_interval": list(found.mean_iou[1:]),
        "right_pixels": found.right, "loss": found.loss, "images": found.images, "pixels": found.pixels, **more,
        "classes": [_of_class(one, name, names) for one, name in zip(found.classes, names, strict=True)],
        "confusion": found.confusion.tolist(),
    }  # fmt: skip


def _of_class(one: OfPixels, name: str, names: Sequence[str]) -> dict[str, Any]:
    return {
        "class": name,
        "pixels": one.pixels,
        **with_ends("iou", one.iou),
        "recall": one.recall,
        "precision": one.precision,
        **mistaken(one.taken_for, names),
    }


def lines(found: MaskJudgement) -> list[str]:
    """Returns the overall measures, one line each."""
    return [
        f"Mean IoU   {percent(found.mean_iou)}",
        f"Pixels     {100 * found.right:.2f} % of {found.pixels:,} labelled pixels are classified correctly",
        f"Loss       {found.loss:.4f} a pixel",
    ]


def class_sheet(found: MaskJudgement, names: Sequence[str]) -> Sheet:
    """Makes a table with one row per class; of many classes, those with the lowest IoU."""
    there = [(one.iou, one, name) for one, name in zip(found.classes, names, strict=True) if one.iou]
    title = f"The {FEW} classes of {len(there)} with the lowest IoU" if len(there) > MOST else ""
    shown = sorted(there, key=lambda row: row[0].value)[:FEW] if title else there
    columns = ("Class", ">Pixels", ">IoU", ">95 %", ">Recall", ">Precision", "Most often taken for")
    sheet = Sheet(columns, title=title, spare=("95 %", "Pixels"))
    for iou, one, name in shown:
        recall, precision = ("-" if share is None else f"{100 * share:.1f}" for share in (one.recall, one.precision))
        given = f"{names[one.taken_for[0]]}, {one.taken_for[1]:,}" if one.taken_for else ""
        interval = f"{100 * iou.low:.1f}-{100 * iou.high:.1f}"
        sheet.add_row(name, f"{one.pixels:,}", f"{100 * iou.value:.1f}", interval, recall, precision, given)
    return sheet
