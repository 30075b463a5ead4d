"""One training of a task of one's own: what it reports is checked, counted and told, and it ends when it is told to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from torch import nn

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult
from dcdnas.errors import Diverged, TaskError, TrainingTimeout
from dcdnas.tasks import Objective, Report, Task, judged

RECIPE = TrainingTask(epochs=3, seed=7)
Body = Callable[[Report], Any]


class Bodied(Task):
    """Does what a test says."""

    objectives = (Objective("auc", "maximize", 0.5, 1.0), Objective("rmse", "minimize", 2.0, 0.0))

    def __init__(self, body: Body) -> None:
        self.body, self.asked = body, (0, 0)

    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        self.asked = (epochs, seed)
        found: Mapping[str, float] = self.body(report)
        return found


def both(auc: float, rmse: float = 1.0) -> dict[str, float]:
    return {"rmse": rmse, "auc": auc}


def run(body: Body, go_on: Callable[[EpochResult], bool] = lambda _: True, recipe: TrainingTask = RECIPE) -> Any:
    return judged(Bodied(body), nn.Identity(), recipe, go_on)


def test_epochs_and_seed_are_those_of_the_job() -> None:
    task = Bodied(lambda report: both(0.7))
    judged(task, nn.Identity(), RECIPE, lambda _: True)
    assert task.asked == (3, 7)


def test_a_score_has_the_values_in_the_order_of_the_objectives_and_every_report() -> None:
    def body(report: Report) -> dict[str, float]:
        assert all(report(epoch, both(0.5 + epoch / 10)) for epoch in (1, 2, 3))
        return both(0.9)

    score = run(body)
    assert list(score.values.items()) == [("auc", 0.9), ("rmse", 1.0)]
    assert score.epochs == 3
    assert [(r.epoch, r.values["auc"]) for r in score.curve] == [(1, 0.6), (2, 0.7), (3, 0.8)]
    assert 0 <= score.curve[0].seconds <= score.seconds


def test_a_training_that_was_told_to_end_has_the_epochs_until_then() -> None:
    told: list[int] = []

    def body(report: Report) -> dict[str, float]:
        assert report(1, both(0.6))
        assert not report(2, both(0.6))
        assert not report(3, both(0.6)), "whoever goes on all the same is not asked again"
        return both(0.6)

    def go_on(result: EpochResult) -> bool:
        told.append(result.epoch)
        return result.epoch < 2

    assert run(body, go_on).epochs == 2
    assert told == [1, 2]


def test_a_training_without_reports_is_one_of_all_epochs() -> None:
    assert run(lambda report: both(0.7)).epochs == 3


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (lambda report: None, "evaluate returned nothing. Allowed: a number for each of auc, rmse, and nothing else."),
        (lambda report: 0.7, "evaluate returned a float."),
        (lambda report: {}, "evaluate returned an empty mapping."),
        (lambda report: {"auc": 0.7}, "evaluate returned auc. Allowed: a number for each of auc, rmse"),
        (lambda report: {**both(0.7), "recall": 1.0}, "evaluate returned rmse, auc, recall."),
        (lambda report: both("good"), "evaluate returned a value that is no number: could not convert"),  # type: ignore[arg-type]
        (lambda report: report(0, both(0.7)), "the task reported epoch 0 after 0. Allowed: increasing, at most 3."),
        (lambda report: [report(1, both(0.7)), report(1, both(0.7))], "reported epoch 1 after 1"),
        (lambda report: report(4, both(0.7)), "reported epoch 4 after 0"),
        (lambda report: report(1, {"auc": 0.7}), "epoch 1: the task reported auc."),
    ],
)
def test_what_is_no_report_is_refused_with_what_is_allowed(body: Body, why: str) -> None:
    with pytest.raises(TaskError) as refused:
        run(body)
    assert why in str(refused.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_has_diverged(value: float) -> None:
    with pytest.raises(Diverged, match=f"evaluate returned that rmse is {value}"):
        run(lambda report: both(0.7, value))
    with pytest.raises(Diverged, match=f"epoch 2: the task reported that auc is {value}"):
        run(lambda report: report(2, both(value)))


def test_a_training_past_its_deadline_ends_at_its_next_report() -> None:
    with pytest.raises(TrainingTimeout):
        run(lambda report: report(1, both(0.7)), recipe=TrainingTask(epochs=3, deadline=1e-9))
