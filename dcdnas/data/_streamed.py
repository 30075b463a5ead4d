"""Picture files that are decoded when a training asks for them, ahead of it, in threads: for folders that decode to too much.

Every picture's head is read once, so that what is no picture is said before the training; the pixels are read again in each
epoch, of a JPEG at a half, quarter or eighth of its size where that is large enough. Crops are of the picture's own pixels.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dcdnas.core.cache import cached_file
from dcdnas.data._base import Images, Listed, statistics
from dcdnas.data._crop import Crops
from dcdnas.data._decoded import state_of
from dcdnas.data._picture import CHANNELS, Depth, Facts, Picture, decode, facts, shown
from dcdnas.data._summary import Summary, read_summary
from dcdnas.errors import DataError

AHEAD = 512
"""PictureFiles that are decoded before they are asked for."""

STATISTICS_FROM = 256
"""PictureFiles, evenly spaced, from which mean and standard deviation are taken."""

GREY = 128
"""What a damaged picture that may be left out is shown as: its label was drawn already."""


class PictureFiles:
    """The picture files of a part, by their row.

    Args:
        paths: of the files.
        resolution: R, side of the images that they become.
        depth: by which grey pictures with more than 8 bits are scaled.
        allowed: damaged pictures that may be met.
    """

    def __init__(self, paths: Sequence[Path], resolution: int, depth: Depth | None, allowed: int) -> None:
        self.paths, self.resolution, self.depth, self.allowed = list(paths), resolution, depth, allowed
        self.damaged: set[int] = set()

    def decoded(self, row: int, crop: Crops | None = None) -> Tensor:
        """(3, R, R) uint8: the central square of a picture, or a crop of it.

        Raises:
            DataError: naming the picture, when more are damaged than may be.
        """
        path = self.paths[row]
        try:
            return torch.from_numpy(decode((shown(path), path), self.resolution, self.depth, crop))
        except DataError as error:
            self.damaged.add(row)
            if len(self.damaged) > self.allowed:
                raise DataError(f"{error} `--skip-damaged 1%` shows up to that share as grey instead.") from None
            return torch.full((CHANNELS, self.resolution, self.resolution), GREY, dtype=torch.uint8)


@dataclass(frozen=True, eq=False)
class Streamed(Images):
    """Images of which nothing but the labels is in memory: `pixels` has their shape and holds none.

    Args:
        pictures: the files, by the number of the image in the whole part.
    """

    AT_ONCE: ClassVar[int] = 64

    pictures: PictureFiles = field(kw_only=True)

    def batch(self, indices: Tensor, crops: Crops | None = None) -> tuple[Tensor, Tensor]:
        """See `Images.batch`; decodes these pictures."""
        return next(iter(self.batches([(indices, crops)])))

    def batches(self, plan: Iterable[tuple[Tensor, Crops | None]]) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Images.batches`; later batches are decoded while an earlier one is used."""
        pool, waiting, pictures = ThreadPoolExecutor(os.cpu_count()), deque[tuple[list[Future[Tensor]], Tensor]](), 0
        try:
            for indices, crops in plan:
                rows = self.rows.index_select(0, indices)
                each = [
                    pool.submit(self.pictures.decoded, row, crops and crops.of(number))
                    for number, row in enumerate(rows.tolist())
                ]
                waiting.append((each, self.labels.index_select(0, rows)))
                pictures += len(each)
                while len(waiting) > 1 and pictures > AHEAD:
                    pictures -= len(waiting[0][0])
                    yield self._collected(*waiting.popleft())
            while waiting:
                yield self._collected(*waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _collected(self, each: Sequence[Future[Tensor]], labels: Tensor) -> tuple[Tensor, Tensor]:
        """PictureFiles that are decoded, as a batch, which may be empty."""
        pixels = torch.empty((len(each), *self.shape), dtype=torch.uint8)
        for number, one in enumerate(each):
            pixels[number] = one.result()
        return pixels, labels

    def to(self, device: torch.device, chunk: int = 0) -> Images:
        """These images: batches travel when they have been decoded."""
        return self

    def sample(self, count: int) -> bytes:
        """Names and sizes of all files, whose content is not read for it."""
        files = (self.pictures.paths[row] for row in self.rows.tolist())
        return "".join(f"{shown(path.name)}\0{path.stat().st_size}\0" for path in files).encode()

    def __reduce__(self) -> tuple[Any, ...]:
        """As they are: the files have to be there for another process as well."""
        return _again, ({each.name: getattr(self, each.name) for each in fields(self)},)


def _again(parts: dict[str, Any]) -> Streamed:
    return Streamed(**parts)


def streamed(name: str, listed: Listed, resolution: int, subset: int, skip: float, train: Images | None = None) -> Streamed:
    """The pictures of a part, to be read as they are needed.

    Args:
        name: of the data set, as given to `load`.
        listed: its files.
        resolution: R.
        subset: how many of the classes these are; 0 for all.
        skip: how many damaged pictures may be left out.
        train: the training part, for a test part; its numbers normalise this one as well.

    Raises:
        DataError: naming the pictures that are damaged, when there are more.
    """
    looked = _looked(listed, resolution)
    summary = looked.summary
    summary.check(skip)
    damaged = {number for number, _ in summary.damaged}
    whole = [number for number in range(len(listed.paths)) if number not in damaged]
    depth = train.pictures.depth if isinstance(train, Streamed) else summary.of_depth
    allowed = (int(skip * summary.count) if skip < 1 else int(skip)) - len(damaged)
    labels = torch.tensor([listed.labels[number] for number in whole], dtype=torch.int64)
    return Streamed(
        name, resolution, torch.empty((0, CHANNELS, resolution, resolution), dtype=torch.uint8), labels, listed.classes,
        train.mean if train else looked.mean, train.std if train else looked.std, torch.arange(len(whole)), subset, skip,
        ("read as they are needed", *summary.notes(), *listed.notes), tuple(reason for _, reason in summary.damaged),
        pictures=PictureFiles([listed.paths[number] for number in whole], resolution, depth, allowed),
    )  # fmt: skip


@dataclass(frozen=True)
class Looked:
    """What is known of a part's pictures without having decoded them all.

    Args:
        summary: counts, and what is damaged.
        mean: of some of them, see `statistics`.
        std: likewise.
    """

    summary: Summary
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _looked(listed: Listed, resolution: int) -> Looked:
    """What is known of the pictures; kept in the cache."""
    digest = hashlib.sha256(f"1 {resolution}{state_of(listed.paths)}".encode("utf-8", "surrogateescape")).hexdigest()[:24]

    def make(file: IO[bytes]) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            summary = _summarised(pool, listed.paths)
            whole = sorted(set(range(len(listed.paths))) - {number for number, _ in summary.damaged})
            some = [listed.paths[number] for number in whole[:: max(1, len(whole) // STATISTICS_FROM)]]
            mean, std = statistics(_decoded(pool, some, resolution, summary.of_depth)) if some else ((0.0,), (1.0,))
        file.write(json.dumps({"summary": summary.written(), "mean": mean, "std": std}).encode())

    try:
        path = cached_file(f"pictures-{digest}.json", make)
        found = json.loads(path.read_text(encoding="utf-8"))
        return Looked(read_summary(found["summary"]), tuple(found["mean"]), tuple(found["std"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"what is known of the pictures cannot be kept: {error}. Free space in the cache folder.") from None


def _decoded(pool: ThreadPoolExecutor, paths: Sequence[Path], resolution: int, depth: Depth | None) -> Tensor:
    """Those that can be decoded: one whose pixels are damaged is met in the training."""

    def one(path: Path) -> Tensor | None:
        try:
            return torch.from_numpy(decode((shown(path), path), resolution, depth))
        except DataError:
            return None

    found = [pixels for pixels in pool.map(one, paths) if pixels is not None]
    return torch.stack(found) if found else torch.from_numpy(np.zeros((1, CHANNELS, resolution, resolution), np.uint8))


def _summarised(pool: ThreadPoolExecutor, paths: Sequence[Path]) -> Summary:
    summary = Summary()

    def one(path: Path) -> Facts | DataError:
        picture: Picture = shown(path), path
        try:
            return facts(picture)
        except DataError as error:
            return error

    for number, found in enumerate(pool.map(one, paths)):
        summary.count += 1
        if isinstance(found, DataError):
            summary.damaged.append((number, str(found)))
        else:
            summary.add(found)
    return summary
