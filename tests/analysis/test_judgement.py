"""What a classifier gets right: against numbers that were worked out by hand, and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcdnas.analysis.judgement import BINS, calibration_error, f1_scores, judged
from dcdnas.core.uncertainty import wilson


def drawn(count: int = 300, classes: int = 7, seed: int = 0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=count)
    return 2.0 * np.eye(classes)[labels] + generator.normal(size=(count, classes)), labels


HAND = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 0.0, 2.0], [2.0, 0.0, 1.0]]), np.array([0, 1, 2, 2])
"""Four images of three classes: the last, of class 2, is taken for class 0."""


def test_four_images_worked_out_by_hand():
    found = judged(*HAND)
    assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert (found.top1.value, found.top5) == (0.75, None)
    assert found.f1.value == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    assert [c.images for c in found.classes] == [1, 1, 2]
    assert found.classes[2].recall.value == 0.5
    assert found.classes[0].precision == 0.5
    assert (found.classes[2].taken_for, found.classes[0].taken_for) == ((0, 1), None)
    assert found.confusions(5) == [(2, 0, 1)]
    probabilities = np.exp(HAND[0]) / np.exp(HAND[0]).sum(1, keepdims=True)
    assert found.loss == pytest.approx(-np.log(probabilities[np.arange(4), HAND[1]]).mean())


def test_the_shares_are_those_of_a_plain_loop():
    logits, labels = drawn()
    found = judged(logits, labels)
    order = np.argsort(-logits, 1)
    assert found.top1.value == np.mean([labels[i] == order[i, 0] for i in range(len(labels))])
    assert found.top5 is not None
    assert found.top5.value == np.mean([labels[i] in order[i, :5] for i in range(len(labels))])


def test_of_equal_outputs_the_first_classes_are_the_answers():
    labels = np.arange(10)
    found = judged(np.zeros((10, 10)), labels)
    assert found.top5 is not None
    assert (found.top1.value, found.top5.value) == (0.1, 0.5)
    two = np.where(labels < 3, 1.0, np.where(labels < 8, 0.5, 0.0))
    assert judged(np.tile(two, (10, 1)), labels).top5 == found.top5


def test_the_calibration_error_is_that_of_a_plain_loop():
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.2, 1, 500)
    right = generator.uniform(size=500) < confidence**2
    total = 0.0
    for number in range(BINS):
        inside = (confidence >= number / BINS) & (confidence < (number + 1) / BINS)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert calibration_error(confidence, right) == pytest.approx(total)
    assert calibration_error(np.ones(4), np.array([True] * 4)) == 0


def test_every_interval_holds_its_value_and_shrinks_with_more_images():
    few, many = judged(*drawn(100)), judged(*drawn(5000))
    for name in ("top1", "top5", "f1", "calibration_error"):
        small, large = getattr(few, name), getattr(many, name)
        assert large.low <= large.value <= large.high
        assert large.high - large.low < 0.5 * (small.high - small.low)


def test_intervals_are_drawn_the_same_every_time():
    assert judged(*drawn()).f1 == judged(*drawn()).f1


def test_a_class_without_images_has_no_shares_and_is_not_in_the_mean():
    logits, labels = HAND[0][:2], HAND[1][:2]
    found = judged(logits, labels)
    assert (found.classes[2].recall, found.classes[2].f1, found.classes[2].precision) == (None, None, None)
    assert found.f1.value == 1.0
    assert np.isnan(f1_scores(found.confusion)[2])


def test_wilsons_interval_is_the_published_one_and_stays_within_a_share():
    low, high = wilson(81, 263)  # Newcombe, Statistics in Medicine 17 (1998), table I: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert math.isclose(wilson(0, 10)[1], 1 - wilson(10, 10)[0])
