"""Evaluates a classifier on labelled images: accuracies, scores by class, and the calibration of its probabilities.

Letters in shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcdnas.core.uncertainty import wilson

BINS = 15
"""Number of bins of equal width in confidence for the calibration error."""

RESAMPLES = 400
"""Number of bootstrap resamples of the images for the confidence intervals of values that are not shares."""


class Value(NamedTuple):
    """A value with its 95 % confidence interval over the sampling of the images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OfClass:
    """Scores of one class; a share of no images is None.

    Args:
        images: number of images of the class.
        recall: share of these images that are classified correctly.
        precision: share of the images predicted as the class that belong to it.
        f1: harmonic mean of recall and precision; 0 where no image is classified correctly.
        taken_for: the class that its images are most often mistaken for, and how often; None without mistakes.
    """

    images: int
    recall: Value | None
    precision: float | None
    f1: float | None
    taken_for: tuple[int, int] | None


@dataclass(frozen=True)
class Judgement:
    """Evaluation of a classifier's outputs against the labels.

    Args:
        images: N, the number of images.
        top1: share of images whose class has the highest probability.
        top5: share of images whose class is among the five with the highest probabilities; None with five classes or fewer.
        f1: mean F1 score of the classes that have images.
        loss: mean cross entropy.
        calibration_error: mean distance between confidence and accuracy over bins of confidence.
        confidence: mean probability of the predicted classes.
        confusion: (K, K), numbers of images by true and predicted class.
        classes: scores of each class.
    """

    images: int
    top1: Value
    top5: Value | None
    f1: Value
    loss: float
    calibration_error: Value
    confidence: float
    confusion: NDArray[np.int64]
    classes: tuple[OfClass, ...]

    def confusions(self, most: int) -> list[tuple[int, int, int]]:
        """The `most` most frequent mistakes: true class, predicted class, number of images."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = ((int(i) // len(wrong), int(i) % len(wrong)) for i in order)
        return [(a, b, int(wrong[a, b])) for a, b in pairs if wrong[a, b]]


def judged(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Judgement:
    """Evaluates outputs (N, K) before the softmax against labels (N,), for at least one image.

    The calibration error is that of Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599, eq. 3.
    """
    count, classes = logits.shape
    shifted = logits - logits.max(1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    answers, own = logits.argmax(1), log_probabilities[np.arange(count), labels]
    right, confidence = answers == labels, np.exp(log_probabilities.max(1))
    confusion = np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)
    of_label = logits[np.arange(count), labels][:, None]
    earlier = np.arange(classes) < labels[:, None]  # of equal outputs the first one counts, as in argmax
    ranks = ((logits > of_label) | ((logits == of_label) & earlier)).sum(1)
    top5 = _share(int((ranks < 5).sum()), count) if classes > 5 else None
    return Judgement(
        count,
        _share(int(right.sum()), count),
        top5,
        _macro_f1(confusion),
        float(-own.mean()),
        _resampled(count, lambda rows: calibration_error(confidence[rows], right[rows])),
        float(confidence.mean()),
        confusion,
        tuple(_of_class(confusion, number) for number in range(classes)),
    )


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Sum over the bins of |mean confidence - accuracy|, weighted by the bin's share of the images; both arguments are (N,)."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, confidence - right, BINS)).sum() / len(right))


def f1_scores(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """F1 score of each class from counts (..., K, K): 2 right / (images + predictions); NaN for a class without images."""
    right, images, answers = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1), confusion.sum(-2)
    return np.where(images > 0, 2 * right / np.maximum(images + answers, 1), np.nan)


def _share(right: int, of: int) -> Value:
    return Value(right / of, *wilson(right, of))


def _of_class(confusion: NDArray[np.int64], number: int) -> OfClass:
    row, answers, right = confusion[number], int(confusion[:, number].sum()), int(confusion[number, number])
    images, mistakes = int(row.sum()), np.where(np.arange(len(row)) == number, 0, row)
    most = int(mistakes.argmax())
    return OfClass(
        images,
        _share(right, images) if images else None,
        right / answers if answers else None,
        2 * right / (images + answers) if images else None,
        (most, int(mistakes[most])) if mistakes[most] else None,
    )


def _macro_f1(confusion: NDArray[np.int64]) -> Value:
    """Mean F1 score with its bootstrap interval; resampling images is equivalent to resampling cells of the confusion matrix."""
    count, generator = int(confusion.sum()), np.random.default_rng(0)
    cells = confusion.flatten() / count
    drawn = np.array(
        [np.nanmean(f1_scores(generator.multinomial(count, cells).reshape(confusion.shape))) for _ in range(RESAMPLES)]
    )
    return Value(float(np.nanmean(f1_scores(confusion))), *interval(drawn))


def _resampled(count: int, measure: Callable[[NDArray[np.int64]], float]) -> Value:
    """Value of `measure`, a function of image indices, for all images, with its bootstrap interval over resampled images."""
    generator = np.random.default_rng(0)
    drawn = np.array([measure(generator.integers(count, size=count)) for _ in range(RESAMPLES)])
    return Value(measure(np.arange(count)), *interval(drawn))


def interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """The interval that contains the middle 95 % of the draws."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
