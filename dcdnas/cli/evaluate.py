"""`dcdnas evaluate`: tests a trained network on test images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dcdnas.cli._options import SkipDamaged
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._tables import Sheet
    from dcdnas.data import Images
    from dcdnas.export import Opened

__all__ = ["evaluate"]

PANEL = "Networks"


def evaluate(
    out: Output,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="Folder of a trained or exported network, its config, or an ONNX model.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str, typer.Option("-d", "--data", metavar="DATA", help="Data set to test on, like cifar10:DIR or folder:DIR.")
    ],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trained weights (safetensors); by default model.safetensors beside the config."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Also write evaluation.json, classes.csv, confusion.csv and confusion.svg to this folder.",
        ),
    ] = None,
    skip_damaged: SkipDamaged = None,
) -> None:
    """Test a trained network on the test images of a data set.

    Prints the accuracy, F1 and the confusion matrix by class, the expected calibration error of the probabilities (ECE, over 15
    bins of confidence), and the images per second. For a network that scores pixels, on images with masks, it prints the
    intersection over union (IoU) of each class. Intervals are 95 % intervals for other images of the same kind.

    Examples:  dcdnas evaluate trained/quick-3/seed-0 -d fashion-mnist  |  dcdnas evaluate model.onnx -d cifar10:/data -o judged
    """
    from dcdnas.cli._evaluation import check_place, write
    from dcdnas.cli._labelled import Wanted, labelled, say_damaged
    from dcdnas.cli._source import open_trained
    from dcdnas.engine.planning.settings import share
    from dcdnas.export import speed_of

    opened = open_trained(out, model, weights)
    if output:
        check_place(output)
    wanted = Wanted(str(opened.path), opened.input, opened.classes, opened.labels, opened.pixels, opened.grey_range)
    test = labelled(out, wanted, data, share(skip_damaged), test=True)
    speed = speed_of(opened)
    more = {"data": data, "model": str(opened.path), "throughput": speed.to_dict()}
    names = opened.labels or test.classes
    found = (_of_masks if opened.pixels else _of_labels)(opened, test, names, more)
    say_damaged(out, test.name, "test", test.met)
    tested = f"{opened.path} on {len(test) - len(test.met):,} images of {data}"
    try:
        out.show(f"Test of {tested}", *found.lines, f"Speed      {speed}", *found.sheets)
    finally:  # the files are written even if nobody reads the output to its end
        written = write(output, found.document, names, f"{tested}: {found.short}") if output else ()
    out.show(*(f"Written    {path}" for path in written))
    out.document(found.document)


class _Found(NamedTuple):
    """Results of a test: as plain data, as lines, as tables, and in a few words."""

    document: dict[str, Any]
    lines: list[str]
    sheets: list[Sheet]
    short: str


def _of_labels(opened: Opened, test: Images, names: Sequence[str], more: Mapping[str, Any]) -> _Found:
    from dcdnas.analysis.judgement import judged
    from dcdnas.cli import _evaluation as shown

    logits, labels = opened.outputs(test)
    found = judged(logits.numpy(), labels.numpy())
    error = math.sqrt(found.top1.value * (1 - found.top1.value) / found.images)
    said = shown.document(found, names, {"standard_error": error, **more})
    sheets = [shown.class_sheet(found, names), shown.confusion_sheet(found, names)]
    return _Found(said, shown.lines(found), sheets, f"{100 * found.top1.value:.2f} % right")


def _of_masks(opened: Opened, test: Images, names: Sequence[str], more: Mapping[str, Any]) -> _Found:
    from dcdnas.analysis.mask_judgement import MaskJudge
    from dcdnas.cli import _mask_evaluation as shown

    judge = MaskJudge(len(names))
    for logits, masks in opened.answers(test):
        judge.add(logits, masks)
    found = judge.judgement()
    said, short = shown.document(found, names, more), f"mean IoU {100 * found.mean_iou.value:.2f} %"
    return _Found(said, shown.lines(found), [shown.class_sheet(found, names)], short)
