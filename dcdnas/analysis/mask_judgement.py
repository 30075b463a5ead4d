"""How well a network that scores pixels does on images with masks: intersection over union, class by class.

Letters in shapes: N images, K classes, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcdnas.analysis.judgement import RESAMPLES, Value, interval
from dcdnas.data import UNLABELLED
from dcdnas.training.judging import cross_entropy


@dataclass(frozen=True)
class OfPixels:
    """How the pixels of one class fare; shares are None where there is nothing that they are of.

    Args:
        pixels: that are of the class.
        iou: of the pixels that are of the class or are given it, the share with both.
        recall: of the pixels of the class, the share that is given it.
        precision: of the pixels that are given the class, the share that is of it.
        taken_for: the class that its pixels are most often given instead, and of how many; None where none is.
    """

    pixels: int
    iou: Value | None
    recall: float | None
    precision: float | None
    taken_for: tuple[int, int] | None


@dataclass(frozen=True)
class MaskJudgement:
    """What a network's outputs say against masks. Pixels without a class do not count.

    Args:
        images: N.
        mean_iou: mean over the classes that occur or are given, over all images together.
        right: share of the pixels that are given their class.
        loss: mean cross entropy of a pixel.
        confusion: (K, K), pixels by class and answer.
        classes: each class.
    """

    images: int
    mean_iou: Value
    right: float
    loss: float
    confusion: NDArray[np.int64]
    classes: tuple[OfPixels, ...]

    @property
    def pixels(self) -> int:
        """That have a class."""
        return int(self.confusion.sum())


class MaskJudge:
    """Takes outputs and masks, some images at a time.

    Args:
        classes: K.
    """

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.counts: list[NDArray[np.int64]] = []
        """Of each image that has a class anywhere (3, K): pixels of a class, pixels that are given it, pixels with both."""
        self.images, self.loss = 0, 0.0

    def add(self, logits: Tensor, masks: Tensor) -> None:
        """(N, K, H, W) and (N, H, W)."""
        self.loss += cross_entropy(logits, masks, reduction="sum").item()
        for answer, mask in zip(logits.argmax(1), masks, strict=True):
            there = mask != UNLABELLED
            pairs = torch.bincount(mask[there] * len(self.confusion) + answer[there], minlength=self.confusion.size)
            of_image = pairs.numpy().reshape(self.confusion.shape)
            self.images += 1
            if there.any():
                self.confusion += of_image
                self.counts.append(np.stack([of_image.sum(1), of_image.sum(0), np.diagonal(of_image)]))

    def judgement(self) -> MaskJudgement:
        """Of all of them, in which some pixel has a class, with intervals over images drawn anew with replacement."""
        counts, pixels = np.stack(self.counts), int(self.confusion.sum())
        n, _, classes = counts.shape
        times = np.random.default_rng(0).multinomial(n, [1 / n] * n, RESAMPLES)
        whole, drawn = ious(counts.sum(0)), ious((times @ counts.reshape(n, -1)).reshape(-1, 3, classes))
        return MaskJudgement(
            self.images,
            Value(float(np.nanmean(whole)), *interval(np.nanmean(drawn, 1))),
            float(np.diagonal(self.confusion).sum() / pixels),
            self.loss / pixels,
            self.confusion,
            tuple(self._of_class(k, whole[k], drawn[:, k]) for k in range(classes)),
        )

    def _of_class(self, number: int, iou: float, drawn: NDArray[np.float64]) -> OfPixels:
        row, given, right = self.confusion[number], int(self.confusion[:, number].sum()), int(self.confusion[number, number])
        pixels, others = int(row.sum()), np.where(np.arange(len(row)) == number, 0, row)
        most = int(others.argmax())
        return OfPixels(
            pixels,
            None if np.isnan(iou) else Value(float(iou), *interval(drawn[~np.isnan(drawn)])),
            right / pixels if pixels else None,
            right / given if given else None,
            (most, int(others[most])) if others[most] else None,
        )


def ious(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each class, from pixels of it, given it, and both (..., 3, K): intersection over union; NaN where neither is there."""
    own, given, both = np.moveaxis(counts, -2, 0)
    either = own + given - both
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)
