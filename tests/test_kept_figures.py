"""`make bench` stores ratios with their spread, and `make bench-check` reports which have fallen."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import script

figures = script("figures")


def test_a_figure_is_the_median_of_its_rounds_with_quartiles() -> None:
    figure = figures.Figure.of([1.0, 1.4, 1.2, 1.1, 1.3])
    assert (figure.median, figure.low, figure.high, figure.rounds) == (1.2, 1.1, 1.3, 5)
    assert figure.spread == pytest.approx(0.1)


def test_a_figure_has_fallen_when_it_is_below_by_more_than_both_spreads() -> None:
    kept = figures.Figure(2.0, 1.9, 2.1, 9)
    assert not figures.has_fallen(figures.Figure(1.8, 1.7, 1.9, 9), kept)
    assert figures.has_fallen(figures.Figure(1.7, 1.6, 1.8, 9), kept)
    assert not figures.has_fallen(figures.Figure(1.7, 1.2, 2.2, 9), kept)
    assert not figures.has_fallen(figures.Figure(2.4, 2.4, 2.4, 9), kept)


def test_the_last_figures_of_this_processor_are_what_is_compared_with(tmp_path: Path) -> None:
    for name, machine, median in (("1", "one", 2.0), ("2", "one", 3.0), ("3", "another", 4.0)):
        figures.keep(machine, {"step": figures.Figure(median, median, median, 9)}, tmp_path).rename(tmp_path / f"{name}.json")
    assert figures.kept_of("one", tmp_path)["step"].median == 3.0
    assert figures.kept_of("a third", tmp_path) == {}


def test_both_ways_are_timed_in_each_round_and_each_is_first_in_turn() -> None:
    order: list[str] = []

    def turn(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    found = figures.ratios((lambda: turn("a", 3.0), lambda: turn("b", 2.0)), 3)
    assert found == [1.5, 1.5, 1.5]
    assert order == ["b", "a", "a", "b", "b", "a", "a", "b"]
