"""How far two orders agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.core.rank_correlation import kendall_interval, kendall_tau


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=12))
def test_kendalls_tau_is_that_of_all_pairs(points: list[tuple[int, int]]) -> None:
    pairs = [(a, b) for i, a in enumerate(points) for b in points[i + 1 :]]
    sign = [(np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for a, b in pairs]
    both, x, y = sum(p * q for p, q in sign), sum(p != 0 for p, _ in sign), sum(q != 0 for _, q in sign)
    expected = both / np.sqrt(x * y) if x and y else 0.0
    assert kendall_tau(*zip(*points, strict=True)) == pytest.approx(expected)


def test_the_interval_of_the_same_order_is_one_point_and_that_of_few_unlike_ones_is_wide() -> None:
    assert kendall_interval(range(12), range(12)) == (1.0, 1.0)
    low, high = kendall_interval(range(6), (1, 0, 3, 2, 5, 4))
    assert low < kendall_tau(range(6), (1, 0, 3, 2, 5, 4)) < high
    assert high - low > 0.5


def test_the_interval_of_chance_holds_no_agreement() -> None:
    rng = np.random.default_rng(0)
    low, high = kendall_interval(rng.random(30).tolist(), rng.random(30).tolist())
    assert low < 0 < high
