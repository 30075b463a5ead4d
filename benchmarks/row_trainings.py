"""Trains the networks of the rows of `equal_cost.py` in other ways, and stores one line for each training."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from equal_cost import IMAGES, some_images
from result_lines import rows_of

from dcdnas.training.allocator import keep_freed_memory


def options(description: str | None, rows: Sequence[str], results: Path) -> argparse.ArgumentParser:
    """A parser of the options that all such scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--data", help="CIFAR-10, like cifar10:DIR; without it, the existing results are printed")
    parser.add_argument("--rows", nargs="+", default=list(rows), choices=list(rows))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("equal-cost"), help="folder for the images")
    parser.add_argument("--results", type=Path, default=results)
    return parser


def train_missing(
    given: argparse.Namespace, keys: Iterable[dict[str, Any]], trained: Callable[[dict[str, Any], str], dict[str, Any]]
) -> None:
    """Runs the trainings that have no line yet, if there are images.

    Args:
        given: the parsed `options`.
        keys: what identifies each training, in the order in which they run.
        trained: does the training of a key on some images and returns the rest of its line.
    """
    if not given.data:
        return
    torch.set_num_threads(1)
    keep_freed_memory()
    given.folder.mkdir(parents=True, exist_ok=True)
    images = some_images(given.data, IMAGES, given.folder.resolve())
    for key in keys:
        if any(key.items() <= line.items() for line in rows_of(given.results)):
            continue
        line = key | trained(key, images)
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)
