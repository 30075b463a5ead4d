"""The page and its figures: complete, self-contained, safe against names that are markup."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from written_runs import trial, write_run

from dcdnas.report import load_run
from dcdnas.report.page import page, tiles
from dcdnas.report.plots import front_figure, history_figure, operators_figure

TRIALS = [trial(0, 0.70, 90.0), trial(1, 0.60, 30.0), trial(2, 0.80, 95.0), trial(3, 0.50, 20.0, "stopped")]
CONFIRMED = [(2, 1, 0.78), (2, 2, 0.80), (0, 1, 0.71), (0, 2, 0.69)]


def test_the_page_asks_nothing_of_another_host(tmp_path: Path) -> None:
    text = page(load_run(write_run(tmp_path / "r", TRIALS)))
    own = text.replace(text[text.index("<script>") : text.index("</script>")], "")
    assert not re.findall(r"(?:src|href)\s*=|https?://|@import|url\(", own)


def test_the_page_holds_the_front_the_confirmed_and_every_training(tmp_path: Path) -> None:
    text = page(load_run(write_run(tmp_path / "r", TRIALS, CONFIRMED)))
    assert "front/03.yaml" in text
    assert "78.0 %, 80.0 %" in text
    assert "All 4 trainings" in text


def test_the_page_of_a_run_without_a_front_says_what_to_do(tmp_path: Path) -> None:
    text = page(load_run(write_run(tmp_path / "r", [])))
    assert "No front yet" in text
    assert "dcdnas resume r" in text


def test_names_and_reasons_cannot_become_markup(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    trials = [*TRIALS, trial(4, None, 50.0, "failed", reason=bad)]
    text = page(load_run(write_run(tmp_path / "r", trials)))
    assert bad not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_figures_data_cannot_end_its_script(tmp_path: Path) -> None:
    text = page(load_run(write_run(tmp_path / "r", TRIALS)))
    data = text[text.index("const figures") : text.index("const dark")]
    assert "<" not in data
    assert json.loads(data[data.index("front: ") + 7 : data.index(", history: ")])["data"]


def test_the_tiles_say_confirmed_mean_and_difference_on_the_same_seeds(tmp_path: Path) -> None:
    facts = {heading: (number, said) for heading, number, said in tiles(load_run(write_run(tmp_path / "r", TRIALS, CONFIRMED)))}
    assert facts["Best within budget"][0] == "79.0 ± 1.4 %"
    assert facts["Against the static network"][0] == "+9.0 ± 2.8 points"
    assert "same 2 fresh seeds" in facts["Against the static network"][1]


def test_an_unconfirmed_best_is_called_one_training(tmp_path: Path) -> None:
    _, number, said = tiles(load_run(write_run(tmp_path / "r", TRIALS)))[0]
    assert number == "80.0 %"
    assert "not confirmed" in said


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


def test_a_run_with_accuracy_as_its_only_objective_has_a_front_and_a_page(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS, minimize=()))
    assert run.minimize == ()
    assert run.cost_shown == "flops"
    accuracies = [t.score.accuracy for t in run.trials if t.state == "finished" and t.score and t.cost["flops"] <= 100]
    assert {t.score.accuracy for t in run.front() if t.score} == {max(accuracies)}
    assert run.hypervolume == pytest.approx((max(accuracies) - 0.1) / 0.9)
    assert "front" in page(run).lower()
