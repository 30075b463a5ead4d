"""Objectives: how their values are compared, scaled and written, and what cannot be one."""

from __future__ import annotations

import math

import pytest

from dcdnas.core.objective import MOST, Goals, Objective
from dcdnas.core.trial import Score
from dcdnas.errors import UsageError
from dcdnas.tasks import ACCURACY, LOSS

RMSE = Objective("rmse", "minimize", worst=2.0, best=0.0, unit="px", title="RMSE")


def test_a_share_is_written_in_percent_and_its_differences_in_points() -> None:
    assert (ACCURACY.said(0.7128), ACCURACY.said(0.7128, 2), ACCURACY.said(None)) == ("71.3 %", "71.28 %", "–")
    assert (ACCURACY.difference(0.0123), ACCURACY.difference(-0.004)) == ("+1.2 points", "-0.4 points")
    assert (ACCURACY.amount(0.0123, sign=False), ACCURACY.axis, ACCURACY.heading) == ("1.2", "Accuracy (%)", "Accuracy")
    assert ACCURACY.named(0.8) == "accuracy 80.0 %"


def test_other_values_are_written_with_four_digits_and_their_unit() -> None:
    assert (RMSE.said(0.341499), RMSE.named(12345.6), RMSE.said(math.nan)) == ("0.3415 px", "rmse 1.235e+04 px", "–")
    assert (RMSE.difference(-0.1899), RMSE.amount(0.1, sign=False), RMSE.axis) == ("-0.19 px", "0.1", "RMSE (px)")
    assert Objective("mean_iou", "maximize", 0, 1).heading == "Mean iou"
    assert LOSS.difference(0.5) == "+0.5"


@pytest.mark.parametrize(("objective", "better", "worse"), [(ACCURACY, 0.8, 0.7), (RMSE, 0.7, 0.8)])
def test_the_direction_says_what_is_better_and_no_value_is_worst(objective: Objective, better: float, worse: float) -> None:
    assert objective.better(better, worse)
    assert not objective.better(worse, better)
    assert not objective.better(better, better)
    for none in (None, math.nan):
        assert objective.better(worse, none)
        assert not objective.better(none, worse)


def test_the_scale_goes_from_the_worst_to_the_best_and_ends_there() -> None:
    assert [RMSE.scaled(v) for v in (3.0, 2.0, 0.5, 0.0, -1.0, None)] == [0.0, 0.0, 0.75, 1.0, 1.0, 0.0]
    assert [ACCURACY.scaled(v) for v in (0.0, 0.25, 1.0)] == [0.0, 0.25, 1.0]


def test_goals_are_measured_only_where_every_objective_has_a_finite_value() -> None:
    goals = Goals((RMSE, LOSS))
    assert goals.measured(Score({"rmse": 1.0, "loss": 2.0}, 1, 1.0))
    for values in ({"rmse": 1.0}, {"rmse": 1.0, "loss": math.inf}, {"rmse": math.nan, "loss": 2.0}):
        assert not goals.measured(Score(values, 1, 1.0))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "top-1"}, "an objective cannot be called 'top-1'"),
        ({"direction": "up"}, "the direction cannot be 'up'"),
        ({"worst": math.inf}, "worst cannot be inf"),
        ({"worst": -1e305}, "worst cannot be -1e\\+305. Allowed: a finite number. It has to lie between -1e\\+300 and 1e\\+300"),
        ({"best": 10**400}, "best cannot be 1000"),
        ({"best": "1"}, "best cannot be '1'"),
        ({"best": 0.5}, "its best value 0.5 is not better than its worst, 0.5, when it is to maximize"),
        ({"direction": "minimize"}, "its best value 1 is not better than its worst, 0.5, when it is to minimize"),
    ],
)
def test_what_cannot_be_an_objective_is_said(changes: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Objective(**{"name": "auc", "direction": "maximize", "worst": 0.5, "best": 1.0, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", [RMSE, ACCURACY, LOSS])
def test_what_is_written_down_reads_as_the_same_objective(objective: Objective) -> None:
    assert Objective(**objective.to_dict()) == objective


RANKED = Objective("auc", "maximize", 0.5, 1.0, ranked_by="loss")


@pytest.mark.parametrize(
    ("goals", "values", "rankings"),
    [
        (Goals((RANKED,)), {"auc": 0.8, "loss": 0.3}, [0.3]),
        (Goals((RANKED,)), {"auc": 0.8}, [-0.8]),
        (Goals((RANKED,)), {"auc": 0.8, "loss": math.inf}, [MOST]),
        (Goals((RANKED,)), {"auc": 0.8, "loss": math.nan}, [MOST]),
        (Goals((RANKED, LOSS)), {"auc": 0.8, "loss": 0.3}, [-0.8, 0.3]),
        (Goals((LOSS, ACCURACY)), {"accuracy": 0.8, "loss": 0.3}, [0.3, -0.8]),
        (Goals((RMSE,)), {RMSE.name: 0.8, "loss": 0.3}, [0.8]),
    ],
)
def test_networks_are_compared_by_what_ranks_them_unless_that_is_weighed_itself(
    goals: Goals, values: dict[str, float], rankings: list[float]
) -> None:
    assert goals.rankings(Score(values, 1, 1.0)) == rankings


def test_what_an_objective_is_ranked_by_is_written_down() -> None:
    assert Objective(**RANKED.to_dict()) == RANKED
    assert "ranked_by" not in RMSE.to_dict()
