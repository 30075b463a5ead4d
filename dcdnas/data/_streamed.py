"""Decodes picture files during the training, ahead of use and in threads, for folders too large to decode beforehand.

The header of every picture is read once, so that files which are not pictures are reported before the training. The pixels are
decoded again in each epoch, a JPEG at a half, quarter or eighth of its size if that is large enough. Crops are cut from the
original pixels.
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
from dcdnas.data._picture import CHANNELS, Depth, Facts, Picture, decode, depth_of, facts, is_deep, shown, unreadable
from dcdnas.data._summary import Summary, read_summary, tolerated
from dcdnas.errors import DataError

AHEAD = 512
"""Number of pictures that are decoded ahead of use."""

STATISTICS_FROM = 256
"""About this number of pictures, evenly spaced, is used to compute mean and standard deviation."""

GREY = 128
"""Grey value that replaces a damaged picture in a training, whose batches are all full; an evaluation leaves it out."""


class PictureFiles:
    """The picture files of a part, indexed by row.

    Args:
        paths: of the files.
        resolution: R, side of the decoded images.
        depth: range by which grey pictures with more than 8 bits are scaled.
        allowed: number of damaged pictures that are tolerated.
    """

    def __init__(self, paths: Sequence[Path], resolution: int, depth: Depth | None, allowed: int) -> None:
        self.paths, self.resolution, self.depth, self.allowed = list(paths), resolution, depth, allowed
        self.damaged: dict[int, str] = {}
        """The row of each damaged picture that was met, and what is wrong with it."""

    def decoded(self, row: int, crop: Crops | None = None) -> Tensor:
        """Decodes the central square of a picture, or a crop of it: (3, R, R) uint8.

        Raises:
            DataError: naming the picture, when more pictures are damaged than are tolerated.
        """
        path = self.paths[row]
        try:
            return torch.from_numpy(decode((shown(path), path), self.resolution, self.depth, crop))
        except DataError as error:
            self.damaged[row] = str(error)
            if len(self.damaged) > self.allowed:
                raise DataError(f"{error} `--skip-damaged 1%` allows up to that share of such pictures.") from None
            return torch.full((CHANNELS, self.resolution, self.resolution), GREY, dtype=torch.uint8)


@dataclass(frozen=True, eq=False)
class Streamed(Images):
    """Images of which only the labels are in memory; `pixels` is empty and only has the shape of one image.

    Args:
        pictures: the files, indexed by the number of the image in the whole part.
    """

    AT_ONCE: ClassVar[int] = 64

    pictures: PictureFiles = field(kw_only=True)

    def batch(self, indices: Tensor, crops: Crops | None = None) -> tuple[Tensor, Tensor]:
        """See `Images.batch`; decodes the pictures."""
        return next(iter(self.batches([(indices, crops)])))

    def batches(self, plan: Iterable[tuple[Tensor, Crops | None]]) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Images.batches`; later batches are decoded while an earlier one is in use."""
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

    def intact(self, chunks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Images.intact`; a batch of which nothing is left is not yielded.

        Raises:
            DataError: when no picture is left.
        """
        left = 0
        for indices, (pixels, labels) in zip(chunks, super().intact(chunks), strict=True):
            rows = self.rows.index_select(0, indices).tolist()
            whole = torch.tensor([row not in self.pictures.damaged for row in rows], dtype=torch.bool)
            if whole.any():
                left += int(whole.sum())
                yield pixels[whole], labels[whole]
        if not left:
            raise DataError(f"{self.name}: none of the {len(self)} pictures to evaluate on can be read. Get the files again.")

    @property
    def met(self) -> tuple[str, ...]:
        """See `Images.met`."""
        return tuple(self.pictures.damaged[row] for row in self.rows.tolist() if row in self.pictures.damaged)

    def _collected(self, each: Sequence[Future[Tensor]], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Waits for the decoded pictures and stacks them into a batch, which may be empty."""
        pixels = torch.empty((len(each), *self.shape), dtype=torch.uint8)
        for number, one in enumerate(each):
            pixels[number] = one.result()
        return pixels, labels

    def to(self, device: torch.device, chunk: int = 0) -> Images:
        """Returns the images unchanged, because batches are copied to the device after decoding."""
        return self

    def sample(self, count: int) -> bytes:
        """Bytes that identify these images: names and sizes of all files, whose contents are not read."""
        files = (self.pictures.paths[row] for row in self.rows.tolist())
        return "".join(f"{shown(path.name)}\0{path.stat().st_size}\0" for path in files).encode()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the fields; another process needs access to the same files."""
        return _again, ({each.name: getattr(self, each.name) for each in fields(self)},)


def _again(parts: dict[str, Any]) -> Streamed:
    return Streamed(**parts)


def streamed(
    name: str,
    listed: Listed,
    resolution: int,
    subset: int,
    skip: float,
    train: Images | None = None,
    grey_range: float | None = None,
) -> Streamed:
    """Returns the pictures of a part, to be decoded on demand.

    Args:
        name: of the data set, as given to `load`.
        listed: its files.
        resolution: R, side of the images.
        subset: the number of classes that was requested; 0 for all.
        skip: how many damaged pictures may be left out: a share below 1, else a number.
        train: the training part, when this is the test part; its mean, standard deviation and range are used here too.
        grey_range: value that becomes 255 in grey pictures of more than 8 bits; None for that of the training part.

    Raises:
        DataError: naming the damaged pictures, when there are more than may be left out, or one whose grey values fit no range.
    """
    looked = _looked(listed, resolution, grey_range)
    summary = looked.summary
    summary.check(skip)
    summary.scale_by(depth_of(train.grey_range if train else grey_range))
    damaged = {number for number, _ in summary.damaged}
    whole = [number for number in range(len(listed.paths)) if number not in damaged]
    _check_range(summary, [listed.paths[number] for number in whole])
    allowed = tolerated(skip, summary.count) - len(damaged)
    labels = torch.tensor([listed.labels[number] for number in whole], dtype=torch.int64)
    return Streamed(
        name, resolution, torch.empty((0, CHANNELS, resolution, resolution), dtype=torch.uint8), labels, listed.classes,
        train.mean if train else looked.mean, train.std if train else looked.std, torch.arange(len(whole)), subset, skip,
        ("decoded during the training", *summary.notes(), *listed.notes), tuple(reason for _, reason in summary.damaged),
        grey_range or summary.grey_range,
        pictures=PictureFiles([listed.paths[number] for number in whole], resolution, summary.of_depth, allowed),
    )  # fmt: skip


def _check_range(summary: Summary, paths: Sequence[Path]) -> None:
    """Raises the DataError of decoding the first grey picture of more than 8 bits, when these fit no range."""
    try:
        _ = summary.grey_range
    except ValueError as error:
        pictures: Iterator[Picture] = ((shown(path), path) for path in paths)
        raise unreadable(next(picture for picture in pictures if is_deep(picture)), error) from None


@dataclass(frozen=True)
class Looked:
    """What is known about a part's pictures without decoding them all.

    Args:
        summary: counts of the pictures, and the damaged ones.
        mean: of a sample of the pictures, see `statistics`.
        std: standard deviation, likewise.
    """

    summary: Summary
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _looked(listed: Listed, resolution: int, grey_range: float | None) -> Looked:
    """Inspects the pictures, scaling some by the given range or by their own; the result is kept in the cache."""
    state = state_of(listed.paths) + (f"\0exactly{grey_range}" if grey_range else "")
    digest = hashlib.sha256(f"1 {resolution}{state}".encode("utf-8", "surrogateescape")).hexdigest()[:24]

    def make(file: IO[bytes]) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            summary = _summarised(pool, listed.paths)
            whole = sorted(set(range(len(listed.paths))) - {number for number, _ in summary.damaged})
            some = [listed.paths[number] for number in whole[:: max(1, len(whole) // STATISTICS_FROM)]]
            depth = depth_of(grey_range) or summary.of_depth
            mean, std = statistics(_decoded(pool, some, resolution, depth)) if some else ((0.0,), (1.0,))
        file.write(json.dumps({"summary": summary.written(), "mean": mean, "std": std}).encode())

    try:
        path = cached_file(f"pictures-{digest}.json", make)
        found = json.loads(path.read_text(encoding="utf-8"))
        return Looked(read_summary(found["summary"]), tuple(found["mean"]), tuple(found["std"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"facts about the pictures cannot be cached: {error}. Free space in the cache folder.") from None


def _decoded(pool: ThreadPoolExecutor, paths: Sequence[Path], resolution: int, depth: Depth | None) -> Tensor:
    """Decodes the readable pictures; one whose pixels are damaged is reported when the training reads it."""

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
