"""Dominance, fronts and hypervolume against slow definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.core.pareto import dominates, logarithm, nondominated, ranks, scale, volume

Cloud = list[tuple[float, ...]]


def clouds(dimensions: int, least: int = 0) -> st.SearchStrategy[Cloud]:
    """Up to 12 points on a coarse grid, so that duplicates and ties are common."""
    return st.lists(st.tuples(*[st.integers(0, 5).map(float)] * dimensions), min_size=least, max_size=12)


any_cloud = st.integers(1, 4).flatmap(clouds)


def slow_front(points: Cloud) -> list[int]:
    """By definition: nobody is nowhere worse and somewhere better."""
    return [i for i, p in enumerate(points) if not any(all(a <= b for a, b in zip(q, p, strict=True)) and q != p for q in points)]


def slow_volume(points: Cloud, reference: tuple[float, ...]) -> float:
    """By inclusion and exclusion over the boxes between each point and the reference."""
    total = 0.0
    boxes = list(set(points))
    for size in range(1, len(boxes) + 1):
        for chosen in itertools.combinations(boxes, size):
            sides = [max(0.0, r - max(p[axis] for p in chosen)) for axis, r in enumerate(reference)]
            total += (-1) ** (size + 1) * math.prod(sides)
    return total


@given(any_cloud)
def test_the_front_is_what_nothing_dominates(points: Cloud) -> None:
    assert nondominated(points) == slow_front(points)


@given(any_cloud)
def test_the_first_rank_is_the_front_and_each_next_one_the_front_of_the_rest(points: Cloud) -> None:
    found, left, rank = ranks(points), list(range(len(points))), 0
    assert len(found) == len(points)
    while left:
        layer = [left[i] for i in slow_front([points[i] for i in left])]
        assert [found[i] for i in layer] == [rank] * len(layer)
        left, rank = [i for i in left if i not in layer], rank + 1


@given(clouds(2, 2))
def test_dominance_is_the_definition(points: Cloud) -> None:
    a, b = points[:2]
    assert dominates(a, b) == (0 not in slow_front([b, a]) and a != b)


@given(clouds(3, 3))
def test_dominance_is_transitive_and_never_mutual(points: Cloud) -> None:
    a, b, c = points[:3]
    assert not (dominates(a, b) and dominates(b, a))
    assert not (dominates(a, b) and dominates(b, c)) or dominates(a, c)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@given(data=st.data())
def test_the_hypervolume_is_that_of_the_union_of_boxes(dimensions: int, data: st.DataObject) -> None:
    points = data.draw(clouds(dimensions).map(lambda p: p[:8]))
    reference = data.draw(st.tuples(*[st.integers(0, 6).map(float)] * dimensions))
    assert volume(points, reference) == pytest.approx(slow_volume(points, reference), abs=1e-9)


@given(clouds(2), clouds(2))
def test_more_points_never_make_less_hypervolume(points: Cloud, more: Cloud) -> None:
    assert volume(points + more, (6, 6)) >= volume(points, (6, 6)) - 1e-12


def test_equal_points_are_all_on_the_front() -> None:
    assert nondominated([(1, 2), (1, 2), (2, 3)]) == [0, 1]


def test_a_single_point_is_its_own_front() -> None:
    assert nondominated([(3, 4)]) == [0]
    assert ranks([(3, 4)]) == [0]


def test_no_points_have_no_front_no_ranks_and_no_volume() -> None:
    assert nondominated([]) == []
    assert ranks([]) == []
    assert volume([], (1, 1)) == 0


def test_points_beyond_the_reference_have_no_volume() -> None:
    assert volume([(5, 5)], (3, 3)) == 0


def test_points_of_different_length_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        dominates((1, 2), (1, 2, 3))


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.booleans())
def test_scaling_puts_the_bounds_at_zero_and_one(low: float, width: float, log: bool) -> None:
    assert scale([low, low + width], low, low + width, log) == pytest.approx([0, 1], abs=1e-6)


@given(st.lists(st.floats(0, 1000), min_size=1), st.booleans())
def test_scaling_keeps_the_order_and_stays_between_zero_and_one(values: list[float], log: bool) -> None:
    scaled = scale(sorted(values), 1, 100, log)
    assert np.all(np.diff(scaled) >= 0)
    assert np.all((scaled >= 0) & (scaled <= 1))


def test_a_logarithmic_scale_halves_at_the_geometric_mean() -> None:
    assert scale([10], 1, 100, log=True) == pytest.approx([0.5])


def test_bounds_that_coincide_give_zero() -> None:
    assert list(scale([2.0, 2.0], 2, 2)) == [0, 0]


def test_a_cost_of_nothing_is_the_least_on_a_logarithmic_scale() -> None:
    scaled = scale([0, 4, 4096], 0, 4096, log=True)
    assert scaled.tolist() == [0.0, pytest.approx(1 / 6), 1.0]
    assert logarithm(0) == 0 < logarithm(4)
    assert logarithm(0.002) == math.log(0.002)
    assert scale([0], 0, 0, log=True).tolist() == [0.0]


def test_nothing_at_all_is_below_every_fraction() -> None:
    costs = [0.0, 1e-6, 0.00234, 0.5]
    logs = [logarithm(c, 1e-12) for c in costs]
    assert logs == sorted(set(logs))
    assert scale(costs, 0.0, 0.5, log=True, least=1e-12).tolist()[::3] == [0.0, 1.0]
    assert logarithm(0) == logarithm(1) == 0.0
