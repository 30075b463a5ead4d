"""What the verbs say of a result: how sure it is, what it is of, best and area first."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Run
from written_runs import trial, write_run

from dcdnas.cli._output import Output
from dcdnas.cli._summary import summarise
from dcdnas.core.trial import Trial
from dcdnas.pages.run_files import write_results
from dcdnas.results import load_run

TRIALS = [
    trial(0, 0.70, 90.0),
    trial(1, 0.30, 10.0, origin="ladder"),
    trial(2, 0.80, 95.0),
    trial(3, 0.78, 94.0),
]
ONE_SEED = [(2, 1, 0.609), (0, 1, 0.5)]


def flat(text: str) -> str:
    """Without the breaks that the width of the terminal makes."""
    return " ".join(text.split())


@pytest.fixture
def folder(project: Path) -> Path:
    return write_run(project / "runs" / "small", TRIALS, ONE_SEED, images=64)


@pytest.mark.parametrize("words", [("status", "small"), ("report", "small")])
def test_ten_points_on_64_images_and_one_seed_are_not_called_a_difference(run: Run, folder: Path, words: tuple[str, ...]) -> None:
    said = flat(run(*words).out)
    assert "+10.9 points on one shared seed (± 17.2 from 64 images, seeds add more), not distinguishable." in said
    assert "differences up to 16.9 points may be chance (95 %)" in said


def test_the_rows_and_configs_of_a_long_front_are_in_its_order(project: Path) -> None:
    trials = [replace(trial(0, 0.1 + n / 200, 10 + n / 2), number=n, deployed=str(n)) for n in range(115)]
    folder = write_run(project / "runs" / "long", trials, images=64)
    table = write_results(load_run(folder)).table
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [float(row["flops"]) for row in rows] == [10 + n / 2 for n in range(115)]
    names = [row["config"] for row in rows]
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("front/001.yaml", "front/115.yaml")


def test_best_and_area_are_said_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = load_run(folder)
    summarise(Output(), found, write_results(found))
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("Best within the budget: trial 2 with accuracy 60.9 %, one fresh seed; 95 FLOPs")
    assert second.startswith("Area above the static ladder: 0.")
    assert second.endswith("over 2 rungs.")


def test_the_front_says_what_its_accuracies_are_of_and_marks_open_ones(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = load_run(folder)
    summarise(Output(), found, write_results(found))
    said = capsys.readouterr().out
    assert "Front: 4 networks within flops <= 100 FLOPs, by one training each" in said
    row = next(line for line in said.splitlines() if line.startswith(" 2 ~"))
    assert ("80.0 %" in row, "60.9 %" in row) == (True, True)
    assert "Accuracy, one training" in said
    assert "~ 3 of 4 are not distinguishable from another one of the front." in said
    assert not any(line.startswith(" 1 ~") for line in said.splitlines())


def test_json_has_the_verdict(run: Run, folder: Path) -> None:
    for words in (("status", "small"), ("report", "small")):
        plain = run(*words, "--json").json
        assert (plain["best"], plain["accuracy"], plain["confirmed_seeds"]) == (2, 0.609, 1)
        assert plain["area_above_ladder"]["low"] <= plain["area_above_ladder"]["value"] <= plain["area_above_ladder"]["high"]
        assert (plain["validation_images"], plain["against_static"]["distinguishable"]) == (64, False)
        assert plain["front_undecided"] == [0, 2, 3]
    rows = run("trials", "small", "--json").json
    assert [r["undecided"] for r in rows] == [True, False, True, True]


def test_the_table_of_the_front_says_both_accuracies_and_what_is_open(folder: Path) -> None:
    write_results(load_run(folder))
    with (folder / "pareto.csv").open(newline="") as file:
        rows = {int(r["number"]): r for r in csv.DictReader(file)}
    assert (rows[2]["accuracy"], rows[2]["confirmed_mean"], rows[2]["confirmed_seeds"]) == ("0.8", "0.609", "1")
    assert [rows[n]["undecided"] for n in (1, 2)] == ["False", "True"]


def test_compare_says_what_is_told_apart(run: Run, folder: Path) -> None:
    said = flat(run("compare", "small", "0", "2", "1").out)
    assert "Trial 2 against trial 0: +10.9 points on one shared seed" in said
    assert "Trial 1 against trial 0: -40.0 points by one training each (± 17.3 from 64 images, seeds add more)." in said
    pairs = run("compare", "small", "0", "2", "--json").json["differences"]
    assert [(d["trial"], d["against"], d["seeds"], d["distinguishable"]) for d in pairs] == [(2, 0, 1, False)]


def test_a_table_of_runs_says_what_each_best_is_of(run: Run, folder: Path, project: Path) -> None:
    write_run(project / "runs" / "once", TRIALS)
    said = run("status").out
    assert "60.9 % (1 seed)" in said
    assert "80.0 % (1 training)" in said


def test_a_network_that_read_higher_since_does_not_become_the_best(run: Run, project: Path) -> None:
    write_run(project / "runs" / "more", [*TRIALS, trial(4, 0.90, 97.0)], ONE_SEED, images=64)
    said = flat(run("status", "more").out)
    assert "Best within the budget: trial 2 with accuracy 60.9 %, one fresh seed" in said
    assert (
        "Trial 4 had a better reading, accuracy 90.0 % in one training, not confirmed: a single one, which may be luck." in said
    )


def test_who_read_less_than_the_best_itself_did_is_not_said_to_have_read_better(run: Run, project: Path) -> None:
    write_run(project / "runs" / "more", [*TRIALS, trial(4, 0.70, 97.0)], ONE_SEED, images=64)
    said = flat(run("status", "more").out)
    assert "Best within the budget: trial 2 with accuracy 60.9 %, one fresh seed" in said
    assert "had a better reading" not in said


def test_an_unconfirmed_best_says_so_everywhere(run: Run, project: Path) -> None:
    write_run(project / "runs" / "once", TRIALS)
    said = flat(run("status", "once").out)
    assert "trial 2 with accuracy 80.0 % in one training, not confirmed" in said
    assert run("status", "once", "--json").json["accuracy_from"] == "one training, not confirmed"
    assert "Area above the static ladder: 0." in said
    assert "no interval: number of validation images unknown" in said


def test_a_search_without_a_ladder_has_no_area(run: Run, project: Path) -> None:
    write_run(project / "runs" / "old", [replace(t, origin="tpe") if t.origin == "ladder" else t for t in TRIALS])
    said = flat(run("status", "old").out)
    assert (
        "Area above the static ladder: not computed, because fewer than two networks of the static ladder were trained." in said
    )


def test_a_trial_prints_in_a_line() -> None:
    shown: Trial = trial(7, 0.5, 12_345_678.0)
    assert repr(shown).startswith("<Trial 7: finished with accuracy 0.5000 in one training of 3 epochs; flops 12,345,678, ")
    assert len(repr(shown)) < 200


def test_compare_says_which_training_was_not_completed_in_place_of_a_difference(run: Run, project: Path) -> None:
    short = trial(4, 0.9, 40.0, "stopped", reason="behind at epoch 1")
    write_run(project / "runs" / "halved", [*TRIALS, short], images=64)
    said = flat(run("compare", "halved", "2", "4", "1").out)
    assert "Trial 4 against" not in said
    assert "Trial 1 against trial 2: -50.0 points" in said
    assert "Trial 4 (stopped early after epoch 3) is not compared, because its training was not completed." in said
    found = run("compare", "halved", "2", "4", "1", "--json").json
    assert [d["trial"] for d in found["differences"]] == [1]
