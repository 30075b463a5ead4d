"""The area between what was found and the uniform static ladder."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.core.ladder import Point, area_above, area_with_interval

RUNGS = [Point(1.0, 0.2, True), Point(10.0, 0.6, True)]


def test_the_ladder_alone_has_no_area() -> None:
    assert area_above(RUNGS, 1.0, 100.0) == 0


def test_a_network_counts_from_its_cost_to_the_rung_that_is_as_good() -> None:
    found = Point(math.sqrt(10), 0.5, False)  # a quarter of the axis in, 0.3 above the first rung, passed by the second
    assert area_above([*RUNGS, found], 1.0, 100.0) == pytest.approx(0.3 * 0.25)


def test_a_network_above_the_dearest_rung_counts_up_to_the_budget() -> None:
    found = Point(10.0, 0.7, False)
    assert area_above([*RUNGS, found], 1.0, 100.0) == pytest.approx(0.1 * 0.5)


def test_what_is_over_budget_or_worse_than_the_ladder_counts_nothing() -> None:
    assert area_above([*RUNGS, Point(101.0, 0.9, False), Point(20.0, 0.55, False)], 1.0, 100.0) == 0


def test_training_the_cheapest_network_is_no_success() -> None:
    assert area_above([Point(1.0, 0.2, True), Point(1.0, 0.2, False)], 1.0, 100.0) == 0


def test_an_axis_without_length_has_no_area() -> None:
    assert area_above(RUNGS, 5.0, 5.0) == 0


points = st.lists(st.builds(Point, st.floats(1, 100), st.floats(0, 1), st.booleans()), max_size=12)


@given(points, st.builds(Point, st.floats(1, 100), st.floats(0, 1), st.just(False)))
def test_another_network_never_makes_it_less_and_it_stays_between_0_and_1(known: list[Point], more: Point) -> None:
    before, after = area_above(known, 1.0, 100.0), area_above([*known, more], 1.0, 100.0)
    assert -1e-12 <= before <= after + 1e-12 <= 1 + 1e-9


@given(points)
def test_it_is_the_integral_of_the_difference_of_two_staircases(known: list[Point]) -> None:
    steps = 4000
    grid = [100 ** ((i + 0.5) / steps) for i in range(steps)]
    best = [max((p.value for p in known if p.cost <= x), default=0) for x in grid]
    rung = [max((p.value for p in known if p.cost <= x and p.rung), default=0) for x in grid]
    assert area_above(known, 1.0, 100.0) == pytest.approx(sum(b - r for b, r in zip(best, rung, strict=True)) / steps, abs=0.01)


def test_the_interval_holds_the_value_and_widens_with_the_noise() -> None:
    found = [*RUNGS, Point(3.0, 0.6, False)]
    quiet, loud = (area_with_interval(found, 1.0, 100.0, [d] * 3) for d in (0.001, 0.05))
    assert quiet.low <= quiet.value <= quiet.high
    assert loud.high - loud.low > quiet.high - quiet.low
    assert area_with_interval(found, 1.0, 100.0, [0.0] * 3) == (quiet.value, quiet.value, quiet.value)


def test_the_interval_holds_the_true_area_although_the_best_of_noisy_readings_is_too_high() -> None:
    rng, noise, held, above = random.Random(0), 0.04, 0, 0
    for _ in range(100):
        others = [Point(10 ** rng.uniform(0, 2), 0.0, False) for _ in range(20)]
        true = [p._replace(value=0.2 + 0.2 * math.log10(p.cost)) for p in [*RUNGS, Point(95.0, 0.0, True), *others]]
        read = [p._replace(value=rng.gauss(p.value, noise)) for p in true]
        found, truth = area_with_interval(read, 1.0, 100.0, [noise] * len(read), draws=200), area_above(true, 1.0, 100.0)
        held += found.low <= truth <= found.high
        above += found.value > truth
    assert above > 80
    assert held > 80


def test_the_interval_of_a_small_search_holds_a_gain_that_its_readings_hide() -> None:
    rng, noise, held, nothing = random.Random(0), 0.02, 0, []
    for _ in range(100):
        true = [Point(1.0, 0.4, True), *(Point(10.0 * (n + 1), 0.42, False) for n in range(4)), Point(100.0, 0.41, True)]
        read = [p._replace(value=rng.gauss(p.value, noise)) for p in true]
        found, truth = area_with_interval(read, 1.0, 100.0, [noise] * len(read), draws=200), area_above(true, 1.0, 100.0)
        held += found.low <= truth <= found.high
        nothing += [found] if found.value == 0 else []
    assert held > 90
    assert nothing
    assert all(found.low == 0 < found.high for found in nothing)


def test_a_cost_of_nothing_stands_where_its_metric_says() -> None:
    """Three of six decades: without the metric's word, nothing at all would be dearer than the budget."""
    known = [Point(0.0, 0.5, False), Point(1e-9, 0.5, True)]
    assert area_above(known, 0.0, 1e-6, least=1e-12) == pytest.approx(0.5 * 0.5)
    assert area_with_interval(known, 0.0, 1e-6, [0.0, 0.0], least=1e-12).value == pytest.approx(0.5 * 0.5)


def test_the_interval_is_the_same_however_much_is_in_memory_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point(10.0 * (i + 1), 0.1 * i, i % 2 == 0) for i in range(6)]
    whole = area_with_interval(points, 10, 60, [0.05] * 6)
    monkeypatch.setattr("dcdnas.core.ladder.NUMBERS", 20)
    assert area_with_interval(points, 10, 60, [0.05] * 6) == pytest.approx(whole, abs=1e-12)
