"""Evaluates a segmentation network on images with masks: intersection over union and other scores by class.

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
    """Scores of one class over pixels; a share of no pixels is None.

    Args:
        pixels: number of pixels of the class.
        iou: intersection over union: the share with both among the pixels that belong to the class or are predicted as it.
        recall: share of the pixels of the class that are predicted as it.
        precision: share of the pixels predicted as the class that belong to it.
        taken_for: the class that its pixels are most often mistaken for, and the number of pixels; None without mistakes.
    """

    pixels: int
    iou: Value | None
    recall: float | None
    precision: float | None
    taken_for: tuple[int, int] | None


@dataclass(frozen=True)
class MaskJudgement:
    """Evaluation of a network's outputs against masks. Pixels without a class are ignored.

    Args:
        images: N, the number of images.
        mean_iou: mean IoU of the classes that occur or are predicted, with the pixels of all images pooled.
        right: share of the pixels that are classified correctly.
        loss: mean cross entropy per pixel.
        confusion: (K, K), numbers of pixels by true and predicted class.
        classes: scores of each class.
    """

    images: int
    mean_iou: Value
    right: float
    loss: float
    confusion: NDArray[np.int64]
    classes: tuple[OfPixels, ...]

    @property
    def pixels(self) -> int:
        """Number of pixels that have a class."""
        return int(self.confusion.sum())


class MaskJudge:
    """Accumulates outputs and masks, batch by batch, for an evaluation.

    Args:
        classes: K, the number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.counts: list[NDArray[np.int64]] = []
        """One array (3, K) per image with labelled pixels: pixels of each class, pixels predicted as it, pixels with both."""
        self.images, self.loss = 0, 0.0

    def add(self, logits: Tensor, masks: Tensor) -> None:
        """Adds a batch of logits (N, K, H, W) and masks (N, H, W)."""
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
        """Evaluates all images so far, of which one needs a labelled pixel, with bootstrap intervals over resampled images."""
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
    """IoU of each class from the pixels of it, predicted as it, and both (..., 3, K); NaN for a class with neither."""
    own, given, both = np.moveaxis(counts, -2, 0)
    either = own + given - both
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)
