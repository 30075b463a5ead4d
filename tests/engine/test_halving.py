"""Early stopping: who is in front goes on, small networks too, and a resumed search compares as before."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.core.geometry import Cost
from dcdnas.core.pareto import dominates
from dcdnas.engine.halving import ENOUGH, Halving, rungs

points = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=30)


def cost(flops: float) -> Cost:
    return Cost({"flops": flops})


@given(points)
def test_a_network_that_nothing_dominates_is_never_stopped(cloud: list[tuple[int, int]]) -> None:
    halving = Halving(9, ["flops"])
    for number, (accuracy, flops) in enumerate(cloud):
        before = cloud[: number + 1]
        dominated = any(dominates((-a, f), (-accuracy, flops)) for a, f in before)
        assert dominated or halving.keep(number, 1, accuracy, cost(flops))


@given(points)
def test_a_third_at_most_of_a_rung_is_better_than_who_goes_on(cloud: list[tuple[int, int]]) -> None:
    halving = Halving(9, ["flops"])
    for number, (accuracy, flops) in enumerate(cloud):
        kept = halving.keep(number, 1, accuracy, cost(flops))
        better = sum(dominates((-a, f), (-accuracy, flops)) for a, f in cloud[: number + 1])
        assert kept or better, "stopped though nothing dominates it"
        assert kept or number + 1 >= ENOUGH


def test_the_worst_of_many_equal_ones_is_stopped() -> None:
    halving = Halving(9, ["flops"])
    for number in range(20):
        assert halving.keep(number, 1, 0.9 - number / 1000, cost(5)) if number < 5 else True
    assert not halving.keep(20, 1, 0.1, cost(5))


def test_small_networks_survive_though_they_are_less_accurate() -> None:
    """Accuracy rises with size; stopping by accuracy alone would end every small one."""
    rng = random.Random(0)
    halving, kept = Halving(9, ["flops"]), {"small": 0, "large": 0}
    for number in range(200):
        size = rng.uniform(1, 10)
        accuracy = 0.3 + 0.05 * size + rng.gauss(0, 0.02)
        kept["small" if size < 5.5 else "large"] += halving.keep(number, 1, accuracy, cost(size * 1e6))
    assert kept["small"] > 0.7 * kept["large"]
    assert sum(kept.values()) < 200


def test_other_epochs_than_rungs_stop_nobody() -> None:
    halving = Halving(9, ["flops"])
    assert all(halving.keep(n, 2, -n, cost(5)) for n in range(50))


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(1, ()), (2, (1,)), (3, (1,)), (4, (1, 3)), (9, (1, 3)), (10, (1, 3, 9)), (30, (3, 9, 27)), (90, (10, 30))],
)
def test_rungs_are_powers_of_three_from_a_ninth_on(epochs: int, expected: tuple[int, ...]) -> None:
    assert rungs(epochs) == expected


def test_a_rebuilt_one_decides_alike() -> None:
    rng = random.Random(1)
    first, second = Halving(9, ["flops", "params"]), Halving(9, ["flops", "params"])
    for number in range(60):
        price = Cost({"flops": rng.uniform(1, 9), "params": rng.uniform(1, 9)})
        accuracy = rng.random()
        first.keep(number, 1, accuracy, price)
        second.reached(number, 1, accuracy, price)
    for number in range(60, 90):
        price = Cost({"flops": rng.uniform(1, 9), "params": rng.uniform(1, 9)})
        accuracy = rng.random()
        assert first.keep(number, 1, accuracy, price) == second.keep(number, 1, accuracy, price)


def test_nobody_is_compared_with_what_was_forgotten() -> None:
    halving = Halving(9, ["flops"])
    for number in range(10):
        halving.keep(number, 1, 0.9, cost(5))
    assert not halving.keep(10, 1, 0.5, cost(5))
    for number in range(10):
        halving.forget(number)
    assert halving.keep(10, 1, 0.5, cost(5))
