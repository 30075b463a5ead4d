"""Pictures outside a data set: files and folders that the user names, decoded a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dcdnas.data._picture import CHANNELS, SUFFIXES, Depth, decode, depth_of, is_deep, shown
from dcdnas.errors import DataError, UsageError

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey value of a pixel (ITU-R BT.601)."""


class Pictures(NamedTuple):
    """A batch of pictures: paths and pixels (N, C, H, W) of the readable ones, an error message for each of the others, and how
    many of the readable ones are grey with more than 8 bits."""

    paths: list[Path]
    pixels: Tensor
    damaged: list[str]
    deep: int = 0

    @property
    def names(self) -> list[str]:
        """The paths as printable text."""
        return [shown(path) for path in self.paths]


def find_pictures(sources: Sequence[str | Path]) -> list[Path]:
    """Lists the named files and all pictures in the named folders, in order.

    Raises:
        DataError: when a file or folder does not exist, or a folder contains no picture.
    """
    found: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = sorted(
                Path(folder) / name
                for folder, folders, names in os.walk(source)
                for name in names
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
                if not any(part.startswith(".") for part in Path(folder).relative_to(source).parts)
            )
            if not inside:
                raise DataError(f"{shown(source)}: has no pictures. Allowed: {', '.join(sorted(SUFFIXES))}.")
            found += inside
        elif source.is_file():
            found.append(source)
        elif source.exists():
            raise DataError(f"{shown(source)}: a pipe or another special file. Give pictures, or a folder of them.")
        else:
            raise DataError(f"{shown(source)}: no such file or folder. Give pictures, or a folder of them.")
    return found


def read_pictures(
    paths: Sequence[Path], shape: tuple[int, int, int], batch: int, grey_range: float | None = None
) -> Iterator[Pictures]:
    """Yields the pictures as input images of a network: the largest central region of the input's shape, scaled, and grey for a
    network with one channel.

    Args:
        paths: of the files.
        shape: (C, H, W) of the network's input.
        batch: number of pictures to decode at a time.
        grey_range: value that becomes 255 in grey pictures of more than 8 bits, as in the network's training; None to scale
            each of them by its own range.

    Raises:
        UsageError: when the network takes neither 3 channels nor 1.
    """
    channels, height, width = shape
    if channels not in (1, CHANNELS):
        raise UsageError(f"the network takes images of {channels} channels, and pictures have 3, or 1 as grey.")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), batch):
            part = paths[start : start + batch]
            read = list(pool.map(lambda path: _one(path, (height, width), depth_of(grey_range)), part))
            good = [(path, *found) for path, found in zip(part, read, strict=True) if not isinstance(found, DataError)]
            pixels = torch.stack([p for _, p, _ in good]) if good else torch.zeros(0, CHANNELS, height, width, dtype=torch.uint8)
            pixels = _grey(pixels) if channels == 1 else pixels
            damaged = [str(e) for e in read if isinstance(e, DataError)]
            yield Pictures([path for path, *_ in good], pixels, damaged, sum(deep for *_, deep in good))


def _one(path: Path, size: tuple[int, int], depth: Depth | None) -> tuple[Tensor, bool] | DataError:
    """Decodes a picture, and says whether it is grey with more than 8 bits."""
    picture = shown(path), path
    try:
        return torch.from_numpy(np.array(decode(picture, size[0], depth, width=size[1]))), is_deep(picture)
    except DataError as error:
        return error


def _grey(pixels: Tensor) -> Tensor:
    """Converts (N, 3, H, W) to grey, (N, 1, H, W)."""
    weights = torch.tensor(LUMA).view(1, 3, 1, 1)
    return (pixels.float() * weights).sum(1, keepdim=True).round_().clamp_(0, 255).byte()
