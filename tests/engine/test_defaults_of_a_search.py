"""What a search decides by itself: how many starts there are, and whether trainings are stopped early."""

from __future__ import annotations

import pytest

from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.planning.task import number_of_starts, stops_early


@pytest.mark.parametrize(("trials", "starts"), [(2, 0), (3, 1), (24, 8), (30, 10), (300, 10)])
def test_the_starts_are_ten_and_at_most_a_third_of_the_trainings(trials: int, starts: int) -> None:
    assert number_of_starts(SearchSettings(trials=trials)) == starts
    assert number_of_starts(SearchSettings(trials=trials, starts=7)) == 7


@pytest.mark.parametrize(
    ("trials", "epochs", "stops"), [(24, 3, False), (49, 8, False), (50, 7, False), (50, 8, True), (500, 100, True)]
)
def test_few_or_short_trainings_are_not_stopped_early_unless_asked_for(trials: int, epochs: int, stops: bool) -> None:
    assert stops_early(SearchSettings(trials=trials), epochs) is stops
    for said in (True, False):
        assert stops_early(SearchSettings(trials=trials, early_stopping=said), epochs) is said
