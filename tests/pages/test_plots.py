"""The figures of a run for notebooks."""

from __future__ import annotations

from pathlib import Path

from written_runs import trial, write_run

from dcdnas.pages.notebook_run import load_run
from dcdnas.pages.plots import front_figure, history_figure, operators_figure

TRIALS = [trial(0, 0.70, 90.0), trial(1, 0.60, 30.0), trial(2, 0.80, 95.0), trial(3, 0.50, 20.0, "stopped")]


def test_the_front_is_drawn_as_steps_through_its_trials(tmp_path: Path) -> None:
    figure = front_figure(load_run(write_run(tmp_path / "r", TRIALS)))
    line = next(trace for trace in figure.data if trace.name == "Pareto front")
    assert (list(line.x), list(line.y), line.line.shape) == ([30.0, 90.0, 95.0], [60.0, 70.0, 80.0], "hv")


def test_every_finished_trial_is_a_point_and_its_hover_says_what_it_is_made_of(tmp_path: Path) -> None:
    figure = front_figure(load_run(write_run(tmp_path / "r", TRIALS)))
    points = {
        n: t for trace in figure.data if trace.customdata is not None for n, t in zip(trace.customdata, trace.text, strict=True)
    }
    assert set(points) == {0, 1, 2}
    assert "1 odconv" in points[1]


def test_the_history_follows_the_trainings(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS))
    assert list(history_figure(run).data[0].y) == [m.hypervolume for m in run.history]


def test_the_operators_shares_of_a_stage_add_up(tmp_path: Path) -> None:
    figure = operators_figure(load_run(write_run(tmp_path / "r", TRIALS)))
    assert sum(trace.y[0] for trace in figure.data) == 100


def test_a_notebook_gets_the_figure_from_the_run(tmp_path: Path) -> None:
    assert load_run(write_run(tmp_path / "r", TRIALS)).plot_front().data
