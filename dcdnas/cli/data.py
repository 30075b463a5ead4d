"""Data sets: list their names, check their files, and download public ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._entries import entries
from dcdnas.cli._options import SkipDamaged
from dcdnas.cli._output import Output
from dcdnas.core.units import counted

if TYPE_CHECKING:
    from dcdnas.data import Images

__all__ = ["data"]

PANEL = "Spaces and data"


def list_data(out: Output) -> None:
    """List the named data sets, and how their names are written."""
    found = entries("data")
    out.document([{"name": e.name, "about": e.about} for e in found])
    width = max(len(e.name) for e in found)
    for e in found:
        out.show(f"{e.name:<{width}}  {e.about}")
    out.show("Without DIR, a data set is looked for below the folder in DCDNAS_DATA, and below the cache folder.")


def check(
    out: Output,
    name: Annotated[
        str, typer.Argument(metavar="DATA", help="Data set to check, like fashion-mini or cifar10:DIR.", show_default=False)
    ],
    resolution: Annotated[
        int, typer.Option("--resolution", min=0, help="Side in pixels to which images are scaled; 0 for their own size.")
    ] = 0,
    skip_damaged: SkipDamaged = None,
) -> None:
    """Read a whole data set and summarise it; report missing or damaged files.

    Example:  dcdnas data check folder:/data/imagenet --resolution 96
    """
    from dcdnas.data import load_both
    from dcdnas.engine.planning.settings import share

    since = time.monotonic()
    train, test = load_both(name, resolution, share(skip_damaged))
    seconds = time.monotonic() - since
    out.document({"name": name, "seconds": seconds, "parts": {"train": _described(train), "test": _described(test)}})
    channels, height, width = train.shape
    with_masks = " with masks" * train.masks
    out.show(f"{name}: {len(train.classes)} classes of {channels}x{height}x{width} images{with_masks}, read in {seconds:.1f} s")
    for part, images in (("train", train), ("test", test)):
        counts = images.counts
        each, size = "pixels a class" if images.masks else "a class", f"{images.pixels.nbytes / 1e6:.0f} MB"
        out.show(f"{part:<5}  {len(images):,} images, {min(counts):,} to {max(counts):,} {each}, {size}")
        for said in (*images.notes, *(f"left out: {reason}" for reason in images.damaged)):
            out.show(f"       {said}")
        if images.absent:
            out.show(f"       classes without a picture: {', '.join(images.absent)}")
    out.show(f"mean   {', '.join(f'{m:.3f}' for m in train.mean)}; std {', '.join(f'{s:.3f}' for s in train.std)}")


def fetch(
    out: Output,
    name: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="What to download: cifar10, cifar100, fashion-mnist or nas-bench-macro.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write to; by default the one where dcdnas looks for it."),
    ] = None,
) -> None:
    """Download a data set, or the table of a benchmark, from its publisher; complete files that exist already are kept.

    No other command downloads these. Each file is checked against its SHA-256.

    Example:  dcdnas data fetch cifar10
    """
    from dcdnas.data import fetch as fetched
    from dcdnas.tables import tables

    files = fetched(name, output, out.note)
    out.document({"name": name, "files": [str(file) for file in files]})
    use = f"-d {name if output is None else f'{name}:{output}'}"
    if name in tables:
        use = "--executor tabular" + (f" --table {files[0]}" if output else "")
    out.show(f"{name}: {counted(len(files), 'file')} in {files[0].parent}. Use it with {use}")


data = {"list": list_data, "check": check, "fetch": fetch}


def _described(images: Images) -> dict[str, Any]:
    return {
        "images": len(images), "shape": images.shape, "classes": images.classes, "a_class": images.counts,
        "mean": images.mean, "std": images.std, "notes": images.notes, "damaged": images.damaged,
    }  # fmt: skip
