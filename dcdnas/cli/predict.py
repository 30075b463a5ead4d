"""`dcdnas predict`: predicts the classes of pictures with a trained network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import SkipDamaged
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.data import Pictures
    from dcdnas.export import Opened

__all__ = ["predict"]

PANEL = "Networks"

BATCH = 64
"""Number of pictures that are decoded and predicted together."""

NAMED = 5
"""Largest number of unreadable pictures that a message names."""


def predict(
    out: Output,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="Folder of a trained or exported network, its config, or an ONNX model.",
            show_default=False,
        ),
    ],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE|FOLDER...", help="Pictures, and folders of pictures.", show_default=False)
    ],
    top: Annotated[int, typer.Option("--top", "-k", metavar="K", min=1, help="Number of classes to show for each picture.")] = 3,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a row for each picture and class.")] = False,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trained weights (safetensors); by default model.safetensors beside the config."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the masks of a network that scores pixels, as PNG files."),
    ] = None,
    skip_damaged: SkipDamaged = None,
) -> None:
    """Predict the classes of pictures with a trained network, and their probabilities.

    A picture is turned upright, cut to its central region of the network's shape, scaled and normalised as in training; the
    folder, or the ONNX model alone, contains all that this needs. A network that scores pixels gives the share of the pixels in
    each class, and with -o a mask as large as the picture, in which pixels outside the region have no class (255). Pictures that
    cannot be read are named at the end, and the exit code is 7 when there are more of them than --skip-damaged allows.

    Examples:  dcdnas predict trained/quick-3/seed-0 cat.jpg  |  dcdnas predict model.onnx pictures --csv > seen.csv
    """
    from dcdnas.cli._seen import CLASSES, PIXELS
    from dcdnas.cli._source import open_trained
    from dcdnas.data import find_pictures
    from dcdnas.engine.planning.settings import share
    from dcdnas.errors import UsageError

    out.check_csv(as_csv)
    allowed = share(skip_damaged)
    opened, paths = open_trained(out, model, weights), find_pictures(images)
    out.detail(f"{opened.path} in {opened.runtime} on {opened.device}")
    if not opened.labels:
        out.note(f"Note: {model} does not name its classes; they are numbered from 0.")
    if opened.pixels:
        rows, damaged = _masked(out, opened, paths, top, output)
    elif output:
        raise UsageError(f"-o {output}: {opened.path} classifies whole images and makes no masks. Leave -o out.")
    else:
        rows, damaged = _predicted(out, opened, paths, min(top, opened.classes))
    seen = PIXELS if opened.pixels else CLASSES
    if as_csv:
        seen.print_csv(rows)
    elif rows:
        out.show(seen.table(rows))
    out.document({"model": str(opened.path), "images": rows, "unreadable": damaged})
    _complain(out, damaged, len(paths), allowed)


def _pictures(out: Output, opened: Opened, paths: Sequence[Path], batch: int) -> Iterator[Pictures]:
    """Yields the pictures batch by batch, and says at the end how many were scaled by their own range."""
    from dcdnas.core.units import counted
    from dcdnas.data import read_pictures

    deep = 0
    for part in read_pictures(paths, opened.input, batch, opened.grey_range):
        deep += part.deep
        yield part
    if deep and not opened.grey_range:
        out.warn(
            f"Note: {opened.path} does not record the range of grey pictures with more than 8 bits in its training. "
            f"{counted(deep, 'such picture')} here: each is scaled by its own range, so its brightness may not be that of the "
            "training; a training on such pictures records their range."
        )


def _predicted(out: Output, opened: Opened, paths: Sequence[Path], top: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns each picture's path and most probable classes, and a sentence for each picture that cannot be read."""
    rows: list[dict[str, Any]] = []
    damaged: list[str] = []
    classes_called = _classes(opened)
    for part in _pictures(out, opened, paths, BATCH):
        damaged += part.damaged
        if not part.names:
            continue
        values, classes = opened.logits(part.pixels).softmax(1).topk(top)
        for name, *highest in zip(part.names, values.tolist(), classes.tolist(), strict=True):
            found = [{"class": classes_called[number], "probability": value} for value, number in zip(*highest, strict=True)]
            rows.append({"image": name, "predictions": found})
    return rows, damaged


def _masked(
    out: Output, opened: Opened, paths: Sequence[Path], top: int, folder: Path | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns each picture's path, largest classes and mask file, and a sentence for each picture that cannot be read."""
    from dcdnas.cli._mask_prediction import Masks, shares

    masks, rows, damaged = Masks(folder, paths, _classes(opened)), list[dict[str, Any]](), list[str]()
    for part in _pictures(out, opened, paths, min(BATCH, opened.most)):
        damaged += part.damaged
        if not part.paths:
            continue
        answers = opened.logits(part.pixels).argmax(1)
        for path, name, answer in zip(part.paths, part.names, answers, strict=True):
            written = {"mask": masks.write(path, answer)} if folder else {}
            rows.append({"image": name, "shares": shares(answer, _classes(opened), top), **written})
    return rows, damaged


def _classes(opened: Opened) -> tuple[str, ...]:
    return opened.labels or tuple(map(str, range(opened.classes)))


def _complain(out: Output, damaged: Sequence[str], count: int, allowed: float) -> None:
    """Names the pictures that could not be read.

    Raises:
        DataError: when there are more of them than allowed.
    """
    from dcdnas.data import tolerated
    from dcdnas.errors import DataError

    if not damaged:
        return
    named = " ".join(damaged[:NAMED]) + (f" And {len(damaged) - NAMED} more." if len(damaged) > NAMED else "")
    said = f"{len(damaged)} of {count} pictures could not be read. {named}"
    if len(damaged) > tolerated(allowed, count):
        raise DataError(f"{said} Allow them with --skip-damaged N or N%.")
    out.note(f"Note: {said}")
