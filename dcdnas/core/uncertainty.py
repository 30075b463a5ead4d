"""Differences that a number of images and seeds can distinguish, with 95 % confidence."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NORMAL = 1.96
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Two-sided 95 % quantiles of Student's t, for 1 to 30 degrees of freedom; beyond, the normal quantile is used."""


@dataclass(frozen=True)
class Difference:
    """An estimated difference of two values of an objective.

    Args:
        mean: estimate of the difference.
        margin: half the width of its 95 % confidence interval; infinite where it cannot be estimated.
        pairs: number of pairs of trainings that it was estimated from.
    """

    mean: float
    margin: float
    pairs: int

    @property
    def low(self) -> float:
        """Lower end of the confidence interval."""
        return self.mean - self.margin

    @property
    def high(self) -> float:
        """Upper end of the confidence interval."""
        return self.mean + self.margin

    @property
    def distinguishable(self) -> bool:
        """Whether the confidence interval excludes 0."""
        return abs(self.mean) > self.margin


def student(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t with `freedom` degrees of freedom, at least 1."""
    return STUDENT[freedom - 1] if freedom <= len(STUDENT) else NORMAL


def reading_margin(share: float, images: int) -> float:
    """The smallest distinguishable difference of two single readings of about `share`: 1.96 sqrt(2 p (1 - p) / n).

    Args:
        share: p, e.g. the share of images that are classified correctly; none or all of them count as in `reading_deviation`.
        images: n, the number of images of each reading.
    """
    return NORMAL * math.sqrt(2) * reading_deviation(share, images) if images else math.inf


def between_readings(first: float, second: float, images: int) -> Difference:
    """The difference of two single readings on `images` images each; its interval covers only the sampling of the images."""
    return Difference(first - second, reading_margin((first + second) / 2, images), 1)


def reading_deviation(share: float, images: int) -> float:
    """The standard error of one reading of a share, due to the sampling of its images: sqrt(p (1 - p) / n).

    None or all of the images are no proof of a share of 0 or 1, so p is at least 1 / (n + 2) and at most (n + 1) / (n + 2).
    These are the shares with one further success and one further failure (Agresti and Caffo, The American Statistician 2000).
    """
    least = 1 / (images + 2)
    estimate = min(max(share, least), 1 - least)
    return math.sqrt(estimate * (1 - estimate) / images)


def like_guessing(share: float, chance: float, images: int) -> bool:
    """Whether a share of images that are classified correctly is not distinguishable from the share that guessing reaches.

    Args:
        share: that a network reached.
        chance: share of correct guesses, e.g. 1 / classes, which is known and not estimated from the images.
        images: number of images behind the reading.
    """
    return share <= chance + NORMAL * math.sqrt(chance * (1 - chance) / images)


def between_pairs(differences: Sequence[float], images: int = 0) -> Difference:
    """The mean of paired differences with its t interval, which is infinite for a single pair.

    Args:
        differences: of the two readings of each pair.
        images: n, the number of images behind each reading, which is a multiple of 1 / n; 0 if unknown. The standard deviation of
            the differences counts as at least that of rounding both readings, sqrt(2 / 12) / n, so that a few equal differences
            leave a margin.

    Raises:
        ValueError: without differences.
    """
    mean, pairs = statistics.fmean(differences), len(differences)
    if pairs < 2:
        return Difference(mean, math.inf, pairs)
    deviation = max(statistics.stdev(differences), math.sqrt(2 / 12) / images if images else 0.0)
    return Difference(mean, student(pairs - 1) * deviation / math.sqrt(pairs), pairs)


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share that was read as `right` out of `of` (at least 1; Wilson, JASA 1927)."""
    share, weight = right / of, NORMAL**2 / of
    middle = (share + weight / 2) / (1 + weight)
    half = NORMAL * math.sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)
