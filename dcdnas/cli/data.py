"""Images by name: what there is, and whether it is whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._entries import data_entries
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.data import Images

__all__ = ["data"]

PANEL = "Spaces and data"


def list_data(out: Output) -> None:
    """List the data sets that have a name, and how it is written."""
    found = data_entries()
    out.document([{"name": e.name, "about": e.about} for e in found])
    width = max(len(e.name) for e in found)
    for e in found:
        out.show(f"{e.name:<{width}}  {e.about}")
    out.show("What is not named is looked for below the folder in DCDNAS_DATA.")


def check(
    out: Output,
    name: Annotated[str, typer.Argument(metavar="DATA", help="Like fashion-mini or cifar10:DIR.", show_default=False)],
    resolution: Annotated[int, typer.Option("--resolution", min=0, help="Side of the images; 0 for their own.")] = 0,
) -> None:
    """Read a data set to the end and say what is in it; complain about what is missing or damaged.

    Example:  dcdnas data check folder:/data/imagenet --resolution 96
    """
    from dcdnas.data import load, load_test

    since = time.monotonic()
    train = load(name, resolution)
    test = load_test(train)
    seconds = time.monotonic() - since
    out.document({"name": name, "seconds": seconds, "parts": {"train": _described(train), "test": _described(test)}})
    channels, height, width = train.shape
    out.show(f"{name}: {len(train.classes)} classes of {channels}x{height}x{width} images, read in {seconds:.1f} s")
    for part, images in (("train", train), ("test", test)):
        counts = _counts(images)
        out.show(
            f"{part:<5}  {len(images):,} images, {min(counts):,} to {max(counts):,} a class, {images.pixels.nbytes / 1e6:.0f} MB"
        )
    out.show(f"mean   {', '.join(f'{m:.3f}' for m in train.mean)}; std {', '.join(f'{s:.3f}' for s in train.std)}")


data = {"list": list_data, "check": check}


def _described(images: Images) -> dict[str, Any]:
    return {
        "images": len(images), "shape": images.shape, "classes": images.classes, "a_class": _counts(images),
        "mean": images.mean, "std": images.std,
    }  # fmt: skip


def _counts(images: Images) -> list[int]:
    labels = images.labels[images.rows]
    counts: list[int] = labels.bincount(minlength=len(images.classes)).tolist()
    return counts
