"""Early stopping: who is in front goes on, small networks too, and a resumed search compares as before."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_runs import goals

from dcdnas.core.geometry import Cost
from dcdnas.core.pareto import dominates
from dcdnas.core.trial import EpochResult
from dcdnas.engine.halving import ENOUGH, Halving, rungs

points = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=30)


def read(epoch: int, accuracy: float) -> EpochResult:
    return EpochResult(epoch, {"accuracy": accuracy}, 1.0)


def cost(flops: float) -> Cost:
    return Cost({"flops": flops})


@given(points)
def test_a_network_that_nothing_dominates_is_never_stopped(cloud: list[tuple[int, int]]) -> None:
    halving = Halving(9, goals("flops"))
    for number, (accuracy, flops) in enumerate(cloud):
        before = cloud[: number + 1]
        dominated = any(dominates((-a, f), (-accuracy, flops)) for a, f in before)
        assert dominated or halving.keep(number, read(1, accuracy), cost(flops))


@given(points)
def test_exactly_those_with_less_than_a_third_of_the_rung_in_front_of_them_go_on(cloud: list[tuple[int, int]]) -> None:
    """In front of a training is what has a lower rank: counted here by peeling off one front after the other."""
    halving = Halving(9, goals("flops"))
    for number, (accuracy, flops) in enumerate(cloud):
        rung = [(-a, f) for a, f in cloud[: number + 1]]
        in_front, left = 0, rung
        while any(dominates(other, rung[-1]) for other in left):
            behind = [p for p in left if any(dominates(other, p) for other in left)]
            in_front, left = in_front + len(left) - len(behind), behind
        assert halving.keep(number, read(1, accuracy), cost(flops)) == (len(rung) < ENOUGH or 3 * in_front < len(rung))


@pytest.mark.parametrize(
    ("trainings", "go_on"),
    [
        *[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)],  # too few to stop any
        *[(6, 2), (7, 3), (8, 3), (9, 3), (10, 4), (11, 4), (12, 4), (13, 5), (14, 5), (15, 5), (16, 6), (17, 6), (18, 6)],
    ],
)
def test_of_so_many_trainings_at_a_rung_so_many_go_on(trainings: int, go_on: int) -> None:
    """The most accurate third of networks of one cost, rounded up."""
    assert going_on(Halving(9, goals("flops")), trainings) == list(range(go_on))


@pytest.mark.parametrize(("factor", "go_on"), [(2, [3, 4, 4, 5, 5, 6, 6]), (4, [2, 2, 2, 3, 3, 3, 3])])
def test_another_factor_keeps_another_share(factor: int, go_on: list[int]) -> None:
    assert [len(going_on(Halving(9, goals("flops"), factor), n)) for n in range(6, 13)] == go_on


def going_on(halving: Halving, trainings: int) -> list[int]:
    """Which of so many trainings of one cost, from the most accurate to the least, go on once all have reached the rung."""
    for number in range(trainings):
        halving.reached(number, read(halving.rungs[0], -number), cost(5))
    return [number for number in range(trainings) if halving.keep(number, read(halving.rungs[0], -number), cost(5))]


def test_trainings_of_equal_rank_go_on_together() -> None:
    """Three are in front of six that are equal: not yet a third of ten, but a third of nine."""
    halving = Halving(9, goals("flops"))
    for number in range(3):
        halving.reached(number, read(1, 0.9), cost(5))
    for number in range(3, 9):
        halving.reached(number, read(1, 0.5), cost(5))
    assert not any(halving.keep(number, read(1, 0.5), cost(5)) for number in range(3, 9))
    halving.reached(9, read(1, 0.5), cost(5))
    assert all(halving.keep(number, read(1, 0.5), cost(5)) for number in range(3, 10))


def test_whoever_is_behind_all_others_is_stopped_from_the_sixth_on() -> None:
    halving = Halving(9, goals("flops"))
    assert [halving.keep(number, read(1, 0.9 - number / 1000), cost(5)) for number in range(20)] == [True] * 5 + [False] * 15


def test_small_networks_survive_though_they_are_less_accurate() -> None:
    """Accuracy rises with size; stopping by accuracy alone would end every small one."""
    rng = random.Random(0)
    halving, kept = Halving(9, goals("flops")), {"small": 0, "large": 0}
    for number in range(200):
        size = rng.uniform(1, 10)
        accuracy = 0.3 + 0.05 * size + rng.gauss(0, 0.02)
        kept["small" if size < 5.5 else "large"] += halving.keep(number, read(1, accuracy), cost(size * 1e6))
    assert kept["small"] > 0.7 * kept["large"]
    assert sum(kept.values()) < 200


def test_other_epochs_than_rungs_stop_nobody() -> None:
    halving = Halving(9, goals("flops"))
    assert all(halving.keep(n, read(2, -n), cost(5)) for n in range(50))


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(1, ()), (2, (1,)), (3, (1,)), (4, (1, 3)), (9, (1, 3)), (10, (1, 3, 9)), (30, (3, 9, 27)), (90, (10, 30))],
)
def test_rungs_are_powers_of_three_from_a_ninth_on(epochs: int, expected: tuple[int, ...]) -> None:
    assert rungs(epochs) == expected


def test_a_rebuilt_one_decides_alike() -> None:
    rng = random.Random(1)
    first, second = Halving(9, goals("flops", "params")), Halving(9, goals("flops", "params"))
    for number in range(60):
        price = Cost({"flops": rng.uniform(1, 9), "params": rng.uniform(1, 9)})
        accuracy = rng.random()
        first.keep(number, read(1, accuracy), price)
        second.reached(number, read(1, accuracy), price)
    for number in range(60, 90):
        price = Cost({"flops": rng.uniform(1, 9), "params": rng.uniform(1, 9)})
        accuracy = rng.random()
        assert first.keep(number, read(1, accuracy), price) == second.keep(number, read(1, accuracy), price)


def test_nobody_is_compared_with_what_was_forgotten() -> None:
    halving = Halving(9, goals("flops"))
    for number in range(10):
        halving.keep(number, read(1, 0.9), cost(5))
    assert not halving.keep(10, read(1, 0.5), cost(5))
    for number in range(10):
        halving.forget(number)
    assert halving.keep(10, read(1, 0.5), cost(5))
