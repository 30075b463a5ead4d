"""Tables in a terminal of any width: no number wraps, and what is left out is said."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from written_runs import trial, write_run

from dcdnas.analysis.judgement import judged
from dcdnas.cli._evaluation import class_sheet
from dcdnas.cli._tables import table, trials_table
from dcdnas.results import Run, load_run

TRIALS = [trial(number, 0.5 + number / 100, 1_234_567.0 * (number + 1)) for number in range(4)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return load_run(write_run(tmp_path / "run", TRIALS))


def printed(renderable: object, width: int) -> str:
    """What a terminal of that width shows."""
    console = Console(file=StringIO(), width=width)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [200, 80, 60, 50])
def test_no_number_wraps_and_no_line_is_longer_than_the_terminal(run: Run, width: int) -> None:
    text = printed(trials_table(run, TRIALS), width)
    assert max(map(len, text.splitlines())) <= width
    for number, said in enumerate(("1.23 MFLOPs", "2.47 MFLOPs", "3.70 MFLOPs", "4.94 MFLOPs")):
        assert re.search(rf"^ +{number} +{50 + number}\.0 % +{said}", text, re.MULTILINE)


def test_a_wide_terminal_has_all_columns_and_nothing_is_said_to_be_missing(run: Run) -> None:
    text = printed(trials_table(run, TRIALS), 200)
    assert all(name in text for name in ("Trial", "training", "FLOPs", "Parameters", "Epochs", "Time", "Layers", "State"))
    assert "Left out" not in text


def test_columns_that_can_be_missed_go_first_and_are_named(run: Run) -> None:
    text = printed(trials_table(run, TRIALS), 80)
    assert "Left out for lack of space: Epochs. A wider terminal shows them." in text
    assert "Layers" in text.partition("Left out")[0]
    text = printed(trials_table(run, TRIALS), 60)
    assert "Parameters" in text.partition("Left out")[2].partition(".")[0]


def test_a_row_may_be_shorter_than_the_table_and_a_section_is_a_line() -> None:
    made = table("Layer", ">FLOPs", "Form")
    made.add_row("stem", "12")
    made.add_section()
    made.add_row("Sum", "12", bold=True)
    assert [line.split() for line in printed(made, 80).splitlines() if line.strip(" ─")] == [
        ["Layer", "FLOPs", "Form"],
        ["stem", "12"],
        ["Sum", "12"],
    ]
    assert printed(made, 80).count("──") > 2


@pytest.mark.parametrize(("present", "title"), [(3, ""), (20, ""), (25, "The 10 classes of the lowest F1")])
def test_only_a_choice_among_the_classes_is_titled_as_one(present: int, title: str) -> None:
    labels = np.arange(2 * present) % present
    found = judged(np.eye(25)[labels], labels)
    sheet = class_sheet(found, [f"class {number}" for number in range(25)])
    assert (sheet.title, printed(sheet, 200).count("class ")) == (title, 10 if title else present)
