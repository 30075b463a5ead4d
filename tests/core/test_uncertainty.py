"""What images and seeds tell apart."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from dcdnas.core.uncertainty import (
    between_pairs,
    between_readings,
    like_guessing,
    reading_deviation,
    reading_margin,
    student,
)


def test_sixty_four_images_tell_seventeen_points_apart_and_no_less() -> None:
    assert reading_margin(0.5, 64) == pytest.approx(0.1732, abs=1e-4)
    assert not between_readings(0.609, 0.5, 64).distinguishable
    assert between_readings(0.70, 0.5, 64).distinguishable


def test_no_images_tell_nothing_apart() -> None:
    assert reading_margin(0.5, 0) == math.inf
    assert not between_readings(1.0, 0.0, 0).distinguishable


def test_guessing_may_reach_two_standard_errors_more_than_chance() -> None:
    assert like_guessing(0.05, 0.1, 1600)
    assert like_guessing(0.1147, 0.1, 1600)  # 0.1 + 1.96 sqrt(0.09 / 1600)
    assert not like_guessing(0.1148, 0.1, 1600)
    assert like_guessing(0.15, 0.1, 100)


def test_one_pair_of_trainings_tells_nothing_apart() -> None:
    found = between_pairs([0.3])
    assert (found.mean, found.margin, found.pairs) == (0.3, math.inf, 1)
    assert not found.distinguishable


def test_three_pairs_have_the_t_interval_that_tables_give() -> None:
    found = between_pairs([0.01, 0.02, 0.03])
    assert found.margin == pytest.approx(4.303 * 0.01 / math.sqrt(3))
    assert not found.distinguishable
    assert between_pairs([0.019, 0.02, 0.021]).distinguishable


def test_equal_differences_of_a_few_pairs_leave_the_margin_of_rounding_to_whole_images() -> None:
    assert not between_pairs([1 / 64, 1 / 64], images=64).distinguishable
    assert between_pairs([0.2, 0.2, 0.2], images=64).margin == pytest.approx(4.303 * math.sqrt(1 / 6) / 64 / math.sqrt(3))
    assert between_pairs([0.2, 0.2, 0.2], images=64).distinguishable
    assert between_pairs([0.01, 0.02, 0.03], images=1000) == between_pairs([0.01, 0.02, 0.03])


def test_quantiles_fall_to_the_normal_one() -> None:
    quantiles = [student(n) for n in range(1, 40)]
    assert quantiles == sorted(quantiles, reverse=True)
    assert quantiles[-1] == 1.96


def test_two_equal_networks_are_told_apart_in_about_one_comparison_of_twenty() -> None:
    rng = random.Random(0)
    images, p = 400, 0.8
    readings = [sum(rng.random() < p for _ in range(images)) / images for _ in range(600)]
    pairwise = zip(readings[::2], readings[1::2], strict=True)
    wrong = statistics.fmean(between_readings(a, b, images).distinguishable for a, b in pairwise)
    assert 0.02 < wrong < 0.09
    pairs = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(600)]
    assert 0.02 < statistics.fmean(between_pairs(d).distinguishable for d in pairs) < 0.09


def test_no_or_every_image_right_leaves_a_margin() -> None:
    for share in (0.0, 1.0):
        assert reading_margin(share, 12) == pytest.approx(0.2061, abs=1e-4)  # p counts as 1 / 14 or 13 / 14
    assert reading_margin(1.0, 2000) == pytest.approx(0.0014, abs=1e-4)
    assert not between_readings(1.0, 1.0, 12).distinguishable
    assert not between_readings(1.0, 0.92, 12).distinguishable
    assert between_readings(1.0, 0.0, 12).distinguishable
    assert reading_deviation(1.0, 12) == pytest.approx(math.sqrt(13 / 14 / 14 / 12))


def test_a_reading_with_one_image_wrong_has_the_margin_of_its_own_share() -> None:
    for images in (3, 12, 64, 2000):
        share = 1 - 1 / images
        assert reading_margin(share, images) == pytest.approx(1.96 * math.sqrt(2 * share * (1 - share) / images))
        assert reading_margin(1.0, images) < reading_margin(share, images)


def test_guessing_at_a_chance_of_nothing_reaches_nothing() -> None:
    assert like_guessing(0.0, 0.0, 12)
    assert not like_guessing(0.01, 0.0, 12)
