"""Early stopping: who reads best among networks of like cost goes on, and a resumed search compares as before."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_runs import goals

from dcdnas.core.geometry import Cost
from dcdnas.core.trial import EpochResult
from dcdnas.engine.halving import ENOUGH, Halving, scan_of, without_cost

points = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=30)


def read(epoch: int, accuracy: float) -> EpochResult:
    return EpochResult(epoch, {"accuracy": accuracy}, 1.0)


def cost(flops: float) -> Cost:
    return Cost({"flops": flops})


@given(points)
def test_exactly_those_with_less_than_a_quarter_of_the_rung_above_them_beside_the_line_go_on(
    cloud: list[tuple[int, int]],
) -> None:
    halving = Halving(4, goals("flops"))
    for number, (accuracy, flops) in enumerate(cloud):
        x, y = np.log([f for _, f in cloud[: number + 1]]), np.array([a for a, _ in cloud[: number + 1]], float)
        slope = ((x - x.mean()) * (y - y.mean())).sum() / max(((x - x.mean()) ** 2).sum(), 1e-300)
        above = y - y.mean() - slope * (x - x.mean())
        in_front = int((above > above[-1] + 1e-8).sum())
        assert halving.keep(number, read(4, accuracy), cost(flops)) == (len(x) < ENOUGH or 4 * in_front < len(x))


@pytest.mark.parametrize(
    ("trainings", "go_on"),
    [
        *[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)],  # too few to stop any
        *[(6, 2), (7, 2), (8, 2), (9, 3), (10, 3), (11, 3), (12, 3), (13, 4)],
    ],
)
def test_of_so_many_trainings_at_a_rung_so_many_go_on(trainings: int, go_on: int) -> None:
    """The most accurate quarter of networks of one cost, rounded up."""
    assert going_on(Halving(4, goals("flops")), trainings) == list(range(go_on))


@pytest.mark.parametrize(("factor", "go_on"), [(3, [2, 3, 3, 3, 4, 4, 4]), (2, [3, 4, 4, 5, 5, 6, 6])])
def test_another_factor_keeps_another_share(factor: int, go_on: list[int]) -> None:
    assert [len(going_on(Halving(4, goals("flops"), factor), n)) for n in range(6, 13)] == go_on


def going_on(halving: Halving, trainings: int) -> list[int]:
    """Which of so many trainings of one cost, from the most accurate to the least, go on once all have reached the rung."""
    for number in range(trainings):
        halving.reached(number, read(halving.rung, -number), cost(5))
    return [number for number in range(trainings) if halving.keep(number, read(halving.rung, -number), cost(5))]


def test_trainings_that_read_alike_go_on_together() -> None:
    """Two are in front of those that are equal: not less than a quarter of eight, but of nine."""
    halving = Halving(4, goals("flops"))
    for number in range(8):
        halving.reached(number, read(4, 0.9 if number < 2 else 0.5), cost(5))
    assert not any(halving.keep(number, read(4, 0.5), cost(5)) for number in range(2, 8))
    halving.reached(8, read(4, 0.5), cost(5))
    assert all(halving.keep(number, read(4, 0.5), cost(5)) for number in range(2, 9))


def test_whoever_is_behind_all_others_is_stopped_from_the_sixth_on() -> None:
    halving = Halving(4, goals("flops"))
    assert [halving.keep(number, read(4, 0.9 - number / 1000), cost(5)) for number in range(20)] == [True] * 5 + [False] * 15


def test_small_networks_survive_though_they_are_less_accurate() -> None:
    """Accuracy rises with size; stopping by accuracy alone would end every small one, by non-domination the middling ones."""
    rng = random.Random(0)
    halving, kept = Halving(4, goals("flops")), {"small": 0, "large": 0}
    for number in range(200):
        size = rng.uniform(1, 10)
        accuracy = 0.3 + 0.05 * np.log(size) + rng.gauss(0, 0.02)
        kept["small" if size < 5.5 else "large"] += halving.keep(number, read(4, accuracy), cost(size * 1e6))
    assert 0.8 < kept["small"] / kept["large"] < 1.25
    assert 45 < sum(kept.values()) < 75


def test_an_accuracy_is_compared_by_the_loss_where_there_is_one() -> None:
    halving = Halving(4, goals("flops"))
    for number in range(8):
        halving.reached(number, EpochResult(4, {"accuracy": number / 10, "loss": float(number)}, 1.0), cost(5))
    assert halving.keep(0, EpochResult(4, {"accuracy": 0.0, "loss": 0.0}, 1.0), cost(5))
    assert not halving.keep(7, EpochResult(4, {"accuracy": 0.7, "loss": 7.0}, 1.0), cost(5))
    assert not halving.keep(7, EpochResult(4, {"accuracy": 0.7, "loss": float("inf")}, 1.0), cost(5)), "it is the worst"


def test_what_follows_the_costs_is_taken_out_by_each_of_them() -> None:
    rng = np.random.default_rng(0)
    logs, noise = rng.normal(size=(30, 2)), rng.normal(scale=0.1, size=(30, 2))
    left = without_cost(2 + logs @ np.array([[1.0, -3.0], [0.5, 2.0]]) + noise, logs)
    assert np.abs(left.mean(0)).max() < 1e-8
    assert np.abs(logs.T @ left).max() < 1e-7
    assert np.abs(left).max() < 0.5
    assert without_cost([[1.0], [2.0]], [[5.0], [5.0]]).tolist() == [[-0.5], [0.5]], "at one cost the mean is all there is"
    assert without_cost([[1.0], [2.0]], [[], []]).tolist() == [[-0.5], [0.5]]


def test_other_epochs_than_the_rung_stop_nobody() -> None:
    halving = Halving(4, goals("flops"))
    assert all(halving.keep(n, read(2, -n), cost(5)) for n in range(50))


@pytest.mark.parametrize(("epochs", "expected"), [(1, 0), (2, 1), (8, 1), (15, 1), (16, 2), (90, 11)])
def test_the_short_training_is_an_eighth_of_the_epochs(epochs: int, expected: int) -> None:
    assert scan_of(epochs) == expected


def test_without_a_short_training_nobody_is_stopped() -> None:
    halving = Halving(0, goals("flops"))
    assert all(halving.keep(n, read(epoch, -n), cost(5)) for n in range(20) for epoch in (1, 2, 3))


def test_a_rebuilt_one_decides_alike() -> None:
    rng = random.Random(1)
    first, second = Halving(4, goals("flops", "params")), Halving(4, goals("flops", "params"))
    for number in range(60):
        price = Cost({"flops": rng.uniform(1, 9), "params": rng.uniform(1, 9)})
        accuracy = rng.random()
        first.keep(number, read(4, accuracy), price)
        second.reached(number, read(4, accuracy), price)
    for number in range(60, 90):
        price = Cost({"flops": rng.uniform(1, 9), "params": rng.uniform(1, 9)})
        accuracy = rng.random()
        assert first.keep(number, read(4, accuracy), price) == second.keep(number, read(4, accuracy), price)


def test_nobody_is_compared_with_what_was_forgotten() -> None:
    halving = Halving(4, goals("flops"))
    for number in range(10):
        halving.keep(number, read(4, 0.9), cost(5))
    assert not halving.keep(10, read(4, 0.5), cost(5))
    for number in range(10):
        halving.forget(number)
    assert halving.keep(10, read(4, 0.5), cost(5))


@pytest.mark.parametrize("outlier", [4.0, 100.0, 1e6])
def test_a_single_network_that_learned_nothing_does_not_make_the_others_be_judged_by_their_cost(outlier: float) -> None:
    rng = np.random.default_rng(0)
    costs = rng.uniform(6, 7, (40, 1))
    noise = rng.normal(0, 0.1, (40, 1))
    alone = without_cost(1.5 - 0.2 * costs + noise, costs)
    readings, logs = np.vstack([1.5 - 0.2 * costs + noise, [[outlier]]]), np.vstack([costs, [[6.95]]])
    left = without_cost(readings, logs)
    assert np.abs(np.corrcoef(left[:-1, 0], costs[:, 0])[0, 1]) < 0.4
    assert np.corrcoef(left[:-1, 0], alone[:, 0])[0, 1] > 0.9
    assert left[-1] == left.max()
