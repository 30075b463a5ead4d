"""What a notebook shows of a run, a trial and a comparison."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from written_runs import trial, write_run

from dcdnas.errors import UsageError
from dcdnas.pages.notebook_run import NotebookRun, load_run

TRIALS = [trial(0, 0.70, 90.0), trial(1, 0.60, 30.0), trial(2, 0.80, 95.0), trial(3, 0.50, 20.0, "stopped")]
CONFIRMED = [(2, 1, 0.78), (2, 2, 0.80), (0, 1, 0.71), (0, 2, 0.69)]


@pytest.fixture
def run(tmp_path: Path) -> NotebookRun:
    return load_run(write_run(tmp_path / "r<b>", TRIALS, CONFIRMED))


def body(html: str) -> str:
    return re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


def test_a_run_shows_its_best_and_its_front(run: NotebookRun) -> None:
    said = body(run._repr_html_())
    assert "79.0 %" in said
    assert "+9.0 points over 2 shared seeds (95 %: -16.4 to +34.4), not distinguishable" in said
    assert re.findall(r"trial (\d) ~</th>", said) == ["1", "0", "2"]
    assert "<b>" not in said


def test_a_trial_of_a_run_shows_its_numbers_and_every_layer(run: NotebookRun) -> None:
    shown = run.trial(2).show()
    said = body(shown.html)
    assert "79.00 % ± 1.41" in said
    assert said.count('class="layer"') == 5
    assert "<title>stem: static 3x3" in said
    assert run.trial(2)._repr_html_() == shown.html
    assert "trial 2 of r<b>" in repr(shown)


def test_a_trial_with_its_run_is_the_same_trial(run: NotebookRun) -> None:
    assert run.trial(2) == run.trials[2]
    assert run.trials[2] == run.trial(2)
    assert run.trial(2) != run.trials[1]
    assert run.trial(2) != replace(run.trials[2], seed=9)
    assert run.trial("best") == run.trials[2]


def test_a_trial_is_one_line_that_says_what_its_accuracy_is_of(run: NotebookRun) -> None:
    for shown in (repr(run.best), repr(run.trial(2))):
        assert shown.startswith("<Trial 2: finished with accuracy 0.8000 in one training of 3 epochs; flops 95, params 9.5; ")
        assert len(shown) < 160
        assert "\n" not in shown


def test_a_comparison_says_the_differences(run: NotebookRun) -> None:
    said = body(run.compare(0, 1, 2).html)
    assert said.count('<svg class="strip"') == 3
    assert "(-10.0 points)" in said
    assert "Trial 2 against trial 0: +9.0 points over 2 shared seeds (95 %: -16.4 to +34.4), not distinguishable." in said
    assert 'class="layer differs"' in said
    assert "<a " not in said


def test_what_costs_nothing_is_no_base_of_a_percentage(tmp_path: Path) -> None:
    free, other = (trial(number, 0.7, cost) for number, cost in ((0, 0.0), (1, 90.0)))
    found = load_run(write_run(tmp_path / "free", [free, other]))
    assert not re.search(r"\([+-]\d+ %\)", body(found.compare(0, 1).html))
    assert "(-100 %)" in body(found.compare(1, 0).html)


def test_one_trial_alone_is_compared_with_the_static_network(run: NotebookRun) -> None:
    assert "trials 0, 2 of" in repr(run.compare(2))
    with pytest.raises(UsageError, match="no second trial"):
        run.compare(0)


def test_what_cannot_be_compared_is_said(run: NotebookRun) -> None:
    with pytest.raises(UsageError, match="Give two to 4"):
        run.compare(0, 1, 2, 3, 2)
    with pytest.raises(UsageError, match="has no trial 9"):
        run.compare(0, 9)


def test_every_rule_of_the_style_stays_inside_its_piece(run: NotebookRun) -> None:
    for html in (run._repr_html_(), run.trial(1).show().html, run.compare(1).html):
        style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        assert len(style) == 1
        assert style[0].startswith(".dcdnas {")
        assert style[0].count("{") == style[0].count("}")
        depth = 0
        for i, letter in enumerate(style[0].strip()):
            depth += (letter == "{") - (letter == "}")
            assert depth > 0 or i < len(".dcdnas {") or i == len(style[0].strip()) - 1
        assert not re.search(r"@media|@import|url\(|:root|\bbody\b", style[0])


def test_a_piece_can_be_saved_as_a_page(run: NotebookRun, tmp_path: Path) -> None:
    text = run.trial(1).show().save(tmp_path / "trial.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "<title>trial 1 of r&lt;b&gt;</title>" in text
