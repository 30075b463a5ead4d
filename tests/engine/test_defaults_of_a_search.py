"""What a search decides by itself: how many starts there are, and whether trainings are stopped early."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcdnas.engine.planning import make_plan
from dcdnas.engine.planning.plan import number_of_starts
from dcdnas.engine.planning.settings import SearchSettings


@pytest.mark.parametrize(("trials", "starts"), [(2, 0), (3, 1), (24, 8), (30, 10), (300, 10)])
def test_the_starts_are_ten_and_at_most_a_third_of_the_trainings(trials: int, starts: int) -> None:
    assert number_of_starts(SearchSettings(trials=trials)) == starts
    assert number_of_starts(SearchSettings(trials=trials, starts=7)) == 7


def test_no_training_is_stopped_early_unless_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"space": "dynconv-fmnist", "executor": "tabular", "trials": 500}
    plain, asked = (make_plan(SearchSettings.gather({**settings, **said})).config for said in ({}, {"early_stopping": True}))
    assert (plain.early_stopping, plain.task.scan, plain.task.epochs) == (False, 0, 8)
    assert (asked.early_stopping, asked.task.scan, asked.task.epochs) == (True, 1, 9)
