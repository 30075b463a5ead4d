"""What a run has found: its front, its best and its knee, what is confirmed, how much of the box is dominated."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from written_runs import goals

from dcdnas.core import pareto
from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import Score, Trial

NETWORK = Architecture("mobilenetv2", {}, {}, (1, 8, 8), 10)
BUDGETS = (Budget("flops", 100.0),)
BOUNDS = {"accuracy": (0.1, 1.0), "flops": (1.0, 100.0)}


def trial(number: int, accuracy: float, flops: float, state: str = "finished", origin: str = "tpe", params: float = 1) -> Trial:
    score = Score({"accuracy": accuracy, "loss": 1.0}, 3, 1.0)
    return Trial(number, state, NETWORK, {}, Cost({"flops": flops, "params": params}), score, origin=origin)  # type: ignore[arg-type]


LINE = [
    trial(0, 0.5, 10),
    trial(1, 0.7, 30),
    trial(2, 0.6, 40),
    trial(3, 0.8, 90),
    trial(4, 0.9, 200),
    trial(5, 0.95, 20, "stopped"),
]


def numbers(trials: list[Trial]) -> list[int]:
    return [t.number for t in trials]


def test_only_what_is_trained_to_the_end_and_within_the_budgets_is_on_the_front() -> None:
    assert numbers(pareto.front(LINE, BUDGETS, goals("flops"))) == [0, 1, 3]
    assert numbers(pareto.front(LINE, (), goals("flops"))) == [0, 1, 3, 4]


def test_the_front_goes_from_the_cheapest_to_the_dearest() -> None:
    shuffled = random.Random(0).sample(LINE, len(LINE))
    assert numbers(pareto.front(shuffled, BUDGETS, goals("flops"))) == [0, 1, 3]


def test_with_one_objective_the_front_is_the_most_accurate() -> None:
    assert numbers(pareto.front(LINE, BUDGETS, goals())) == [3]


def test_a_second_cost_keeps_on_the_front_what_is_cheap_by_it() -> None:
    small = trial(6, 0.6, 40, params=0.5)
    assert 6 in numbers(pareto.front([*LINE, small], BUDGETS, goals("flops", "params")))
    assert 6 not in numbers(pareto.front([*LINE, small], BUDGETS, goals("flops")))


def test_the_best_is_the_most_accurate_within_the_budgets() -> None:
    found = pareto.best(LINE, BUDGETS, goals())
    assert found is not None
    assert found.number == 3
    assert pareto.best(LINE[4:], BUDGETS, goals()) is None


def test_of_equally_accurate_ones_the_cheaper_is_best() -> None:
    found = pareto.best([trial(0, 0.5, 20), trial(1, 0.5, 10)], BUDGETS, goals())
    assert found is not None
    assert found.number == 1


def test_of_equally_accurate_ones_the_best_is_the_one_on_the_front() -> None:
    """Its goal is params, although FLOPs are priced first."""
    tied = [trial(0, 0.5, 20, params=5), trial(1, 0.5, 10, params=7)]
    for metric, number in (("params", 0), ("flops", 1)):
        found = pareto.best(tied, BUDGETS, goals(metric))
        assert found is not None
        assert found.number == number
        assert pareto.front(tied, BUDGETS, goals(metric)) == [found]


def test_the_knee_is_where_more_cost_stops_to_pay() -> None:
    line = [trial(0, 0.5, 1), trial(1, 0.85, 10), trial(2, 0.9, 100)]
    found = pareto.knee(line, BUDGETS, goals("flops"))
    assert found is not None
    assert found.number == 1


def test_the_knee_is_seen_from_the_line_between_the_ends() -> None:
    """The next one would be it if the line ended there."""
    line = [trial(0, 0.0, 1), trial(1, 0.5, 10**0.6), trial(2, 0.6, 10**0.84), trial(3, 1.0, 100)]
    found = pareto.knee(line, BUDGETS, goals("flops"))
    assert found is not None
    assert found.number == 1


def test_the_knee_is_that_of_the_first_cost() -> None:
    line = [
        trial(0, 0.5, 1, params=1),
        trial(1, 0.85, 10, params=90),
        trial(2, 0.88, 50, params=5),
        trial(3, 0.9, 100, params=100),
    ]
    knees = [pareto.knee(line, BUDGETS, minimize) for minimize in (goals("flops", "params"), goals("params", "flops"))]
    assert [found.number for found in knees if found is not None] == [1, 2]


@pytest.mark.parametrize(("count", "expected"), [(0, None), (1, 0), (2, 1)])
def test_a_front_of_one_or_two_has_its_dearest_as_knee(count: int, expected: int | None) -> None:
    found = pareto.knee(LINE[:count], BUDGETS, goals("flops"))
    assert (found.number if found else None) == expected


def test_the_hypervolume_is_the_dominated_share_of_the_box_on_logarithmic_cost() -> None:
    """Half of the accuracies and half of the decades: a quarter of the box."""
    assert pareto.hypervolume([trial(0, 0.55, 10)], BUDGETS, goals("flops"), BOUNDS) == pytest.approx(0.25)
    assert pareto.hypervolume([], BUDGETS, goals("flops"), BOUNDS) == 0
    assert pareto.hypervolume([trial(0, 1.0, 1)], BUDGETS, goals("flops"), BOUNDS) == pytest.approx(1)


def test_what_is_outside_the_budgets_adds_no_hypervolume() -> None:
    alone = pareto.hypervolume(LINE[:1], BUDGETS, goals("flops"), BOUNDS)
    assert (
        pareto.hypervolume([LINE[0], trial(1, 0.99, 101), trial(2, 0.99, 1, "stopped")], BUDGETS, goals("flops"), BOUNDS) == alone
    )


def test_more_trials_never_lower_the_hypervolume() -> None:
    rng, before, seen = random.Random(0), 0.0, []
    for number in range(30):
        seen.append(trial(number, rng.random(), math.exp(rng.uniform(0, 5))))
        now = pareto.hypervolume(seen, BUDGETS, goals("flops"), BOUNDS)
        assert now >= before - 1e-12
        before = now


def test_accuracy_alone_can_be_the_objective() -> None:
    trials = [trial(0, 0.5, 100), trial(1, 0.7, 300), trial(2, 0.6, 200), trial(3, 0.7, 250)]
    assert {t.number for t in pareto.front(trials, (), goals())} == {1, 3}
    assert pareto.knee(trials, (), goals()) is not None
    assert pareto.hypervolume(trials, (), goals(), {"accuracy": (0.1, 1.0)}) == pytest.approx(0.6 / 0.9)


def test_of_the_trials_of_one_network_the_first_alone_is_on_the_front() -> None:
    one, other = (replace(trial(n, 0.6 + n / 100, 50), deployed="one") for n in (6, 7))
    assert numbers(pareto.front([*LINE, one, other], BUDGETS, goals("flops"))) == [0, 1, 3]
    line = [*LINE[:1], one, other]
    assert numbers(pareto.front(line, BUDGETS, goals("flops"))) == [0, 6]


def test_a_front_that_grows_trial_by_trial_is_the_front_of_all() -> None:
    rng = random.Random(3)
    trials = [trial(n, rng.randrange(20) / 20, rng.randrange(1, 25) * 5.0) for n in range(300)]
    growing = pareto.Front(BUDGETS, goals("flops"))
    for done, one in enumerate(trials, 1):
        is_on_it = growing.put(one)
        line = pareto.front(trials[:done], BUDGETS, goals("flops"))
        assert list(growing.trials) == line
        assert is_on_it == (one in line)
    again = replace(line[0], reason="written anew")
    assert growing.put(again)
    assert growing.trials[0] is again
    assert list(growing.trials[1:]) == line[1:]
