"""Which decisions matter, beside what shuffled accuracies give."""

from __future__ import annotations

import random
import statistics
from dataclasses import replace
from itertools import combinations

import pytest

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import Score, Trial
from dcdnas.pages.importance import LEAST, Importances, importances, side_by_side
from dcdnas.tasks import ACCURACY


def trial(number: int, accuracy: float, **decisions: int | str) -> Trial:
    score = Score({"accuracy": accuracy, "loss": 1.0}, 4, 1.0)
    return Trial(number, "finished", Architecture("x", {}, {}, (1, 8, 8), 2), decisions, Cost({"flops": 1.0}), score)


def test_a_decision_that_settles_everything_explains_everything() -> None:
    trials = [trial(i, 0.6 + 0.2 * (i % 2), good=i % 2, noise=i // 2 % 3) for i in range(24)]
    first, second = importances(trials, ACCURACY).decisions
    assert (first.decision, round(first.share, 6)) == ("good", 1.0)
    assert (second.decision, second.share) == ("noise", 0.0)
    assert first.means[0] == ("1", pytest.approx(0.8), 12)


def test_nothing_is_said_about_a_decision_that_few_trials_made() -> None:
    trials = [trial(i, 0.1 * i, rare=i % 2) for i in range(LEAST - 1)]
    assert importances(trials, ACCURACY) == Importances((), 1.0)
    assert importances(trials, ACCURACY).said == ""


def test_a_decision_that_matters_rises_above_what_shuffled_accuracies_give() -> None:
    trials = [trial(i, 0.6 + 0.2 * (i % 2), good=i % 2, noise=i // 2 % 3) for i in range(24)]
    found = importances(trials, ACCURACY)
    good, noise = found.decisions
    assert good.share > good.chance > 0
    assert noise.share <= noise.chance
    assert found.reached == 0.0
    assert found.said == (
        "1 of 2 bars rises above its band, while about one in twenty does so by chance; in 0 % of the random shuffles the "
        "highest bar is at least as high as here."
    )


def test_decisions_that_do_not_matter_stay_within_the_band_and_that_is_said() -> None:
    rng = random.Random(3)
    trials = [trial(i, rng.gauss(0.7, 0.02), **{f"d{k}": rng.randrange(2 + k % 3) for k in range(6)}) for i in range(16)]
    found = importances(trials, ACCURACY)
    assert all(i.share <= i.chance for i in found.decisions)
    assert found.reached > 0.05
    assert found.said.startswith("No bar rises above its band; in ")
    assert found == importances(trials, ACCURACY)


def test_the_band_is_the_95th_percentile_of_an_exact_enumeration() -> None:
    accuracies = [0.5, 0.6, 0.61, 0.63, 0.64, 0.7, 0.72, 0.75, 0.8, 0.9]
    (found,) = importances([trial(i, a, half=i % 2) for i, a in enumerate(accuracies)], ACCURACY).decisions
    mean, total = statistics.fmean(accuracies), sum((a - statistics.fmean(accuracies)) ** 2 for a in accuracies)
    shares = []
    for half in combinations(accuracies, 5):
        between = 2 * 5 * (statistics.fmean(half) - mean) ** 2
        noise = (total - between) / 8
        shares.append(max(0.0, (between - noise) / (total + noise)))
    assert found.chance == pytest.approx(statistics.quantiles(shares, n=20, method="inclusive")[-1], abs=0.1)


def test_the_mean_of_an_option_comes_with_its_own_number_of_trials() -> None:
    trials = [trial(i, 0.9 if i < 2 else 0.5 + i / 1000, kernel=7 if i < 2 else 3) for i in range(16)]
    (found,) = importances(trials, ACCURACY).decisions
    assert found.means[0] == ("7", pytest.approx(0.9), 2)
    assert found.trials == 16


def test_unfinished_trials_do_not_count_for_importance() -> None:
    trials = [replace(trial(i, i / 20, a=i % 2), state="stopped") for i in range(20)]
    assert importances(trials, ACCURACY).decisions == ()


def test_a_line_stops_where_a_decision_does_not_exist() -> None:
    picture = side_by_side([trial(0, 0.5, a="x", b=3), trial(1, 0.7, a="y")], ["a", "b"], ACCURACY)
    assert picture["axes"] == [{"name": "a", "options": ["x", "y"]}, {"name": "b", "options": ["3"]}]
    assert picture["lines"] == [[1, 0.7, 1, None], [0, 0.5, 0, 0]]
