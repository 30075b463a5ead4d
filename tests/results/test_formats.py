"""Runs of other formats: format 1 is read and not gone on with, unknown ones are refused in words.

``format1`` was searched by the version before format 2: 22 trials of all kinds, one of them failed, two confirmed twice.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from written_runs import trial, write_run

from dcdnas.cli import main
from dcdnas.core.trial import Ending
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.dashboard.runs import read_line
from dcdnas.engine.recovery import recover
from dcdnas.engine.store import Store
from dcdnas.errors import RunError
from dcdnas.pages.single_file import report
from dcdnas.results import load_run

FIRST = Path(__file__).parent / "format1"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs with one of format 1 in it."""
    shutil.copytree(FIRST, tmp_path / "first")
    monkeypatch.setenv("DCDNAS_RUNS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code and output of a command."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code if isinstance(ended.value.code, int) else 0, *capfd.readouterr()


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)


# Format 1


def test_a_run_of_format_1_is_read_to_the_last_digit(runs: Path) -> None:
    run = load_run(runs / "first")
    with closing(sqlite3.connect(runs / "first" / "run.db")) as db:
        rows = db.execute("SELECT number, state, digest, accuracy, epochs, attempt FROM trials ORDER BY number").fetchall()
        reports = db.execute("SELECT number, epoch, accuracy FROM reports ORDER BY number, epoch").fetchall()
        confirmations = db.execute("SELECT number, seed, accuracy FROM confirmations ORDER BY number, seed").fetchall()
    assert len(rows) == 22
    for t, (number, state, digest, accuracy, epochs, attempt) in zip(run.trials, rows, strict=True):
        assert (t.number, t.state, t.architecture.digest, t.lost) == (number, state, digest, attempt - 1)
        assert (t.score and t.score.values["accuracy"], t.score.epochs if t.score else 0) == (accuracy, epochs)
    curves = [(t.number, r.epoch, r.values["accuracy"]) for t in run.trials if t.score for r in t.score.curve]
    assert curves == [r for r in reports if rows[r[0]][3] is not None]
    assert [(c.number, c.seed, c.score and c.score.values["accuracy"]) for c in run.confirmations] == confirmations
    assert (run.format, run.status, run.ending, run.problems) == (1, "finished", None, ())
    (failed,) = [t for t in run.trials if t.state == "failed"]
    assert failed.failure is None
    assert "RESOURCE_EXHAUSTED" in failed.reason


def test_reading_a_run_of_format_1_changes_nothing(runs: Path) -> None:
    before = {p.name: p.read_bytes() for p in FIRST.iterdir()}
    load_run(runs / "first")
    LiveRun(runs / "first")
    assert {p.name: p.read_bytes() for p in (runs / "first").iterdir() if p.name in before} == before


@pytest.mark.parametrize(
    "command",
    [
        ["status"], ["status", "first"], ["trials", "first"], ["show", "first", "--trial", "best"],
        ["compare", "first", "0", "20"], ["report", "first"], ["export", "first", "--to", "config", "-o", "out"],
    ],
    ids=lambda words: " ".join(words[:2]),
)  # fmt: skip
def test_every_command_that_looks_takes_a_run_of_format_1(
    runs: Path, capfd: pytest.CaptureFixture[str], command: list[str]
) -> None:
    code, out, err = said(capfd, *command)
    assert (code, "Error" in err) == (0, False), err
    assert out


def test_the_pages_show_a_run_of_format_1(runs: Path) -> None:
    line = read_line(runs / "first")
    assert (line.status, line.ended, line.asked, line.failed, line.problem) == ("finished", 9, 9, 1, "")
    assert LiveRun(runs / "first").curves()[3]
    assert "RESOURCE_EXHAUSTED" in report(load_run(runs / "first"))


@pytest.mark.parametrize("words", [[], ["-n", "+3"]], ids=["resume", "resume -n +3"])
def test_a_run_of_format_1_is_not_gone_on_with_and_the_way_out_is_named(
    runs: Path, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, _, err = said(capfd, "resume", "first", *words)
    assert code == RunError.exit_code
    assert "dcdnas search SPACE -b BUDGET --start-from first" in " ".join(err.split())
    assert (runs / "first" / "search.yaml").read_bytes() == (FIRST / "search.yaml").read_bytes()
    assert len(load_run("first").trials) == 22


def test_a_memory_of_format_1_is_not_written_to(runs: Path) -> None:
    with pytest.raises(RunError, match=r"first was made by an earlier version .*--start-from first"):
        Store(runs / "first", "w")


ENDINGS = [(e.sentence, e) for e in (Ending.EXHAUSTED, Ending.TIME_IS_UP, Ending.STOPPED, Ending.INTERRUPTED, Ending.TAKEN_OVER)]
FAILED = "10 trainings in a row failed, the last one with: RESOURCE_EXHAUSTED: the memory is exhausted"


@pytest.mark.parametrize(("sentence", "ending"), [("", None), *ENDINGS, (FAILED, Ending.TOO_MANY_FAILURES)])
def test_the_sentence_of_format_1_is_read_as_the_ending_it_stood_for(runs: Path, sentence: str, ending: Ending | None) -> None:
    change(runs / "first" / "run.db", f"UPDATE meta SET value = '{json.dumps(sentence)}' WHERE key = 'ending'")
    run = load_run("first")
    assert (run.ending, run.reason) == (ending, sentence)
    assert run.status == ("failed" if sentence == FAILED else "finished")


# Unknown formats

UNKNOWN = ["3", "99", "-7"]


@pytest.mark.parametrize("stated", UNKNOWN)
def test_a_memory_of_an_unknown_format_is_refused_in_words_everywhere(
    runs: Path, capfd: pytest.CaptureFixture[str], stated: str
) -> None:
    change(runs / "first" / "run.db", f"PRAGMA user_version = {stated}")
    _refused_everywhere(runs, capfd, stated)


@pytest.mark.parametrize("stated", ["3", "nonsense", "[1, 2]", "dcdnas/search-9", "true", "null"])
def test_a_search_file_of_an_unknown_format_is_refused_in_words_everywhere(
    runs: Path, capfd: pytest.CaptureFixture[str], stated: str
) -> None:
    file = runs / "first" / "search.yaml"
    file.write_text(file.read_text().replace("format: dcdnas/search-1", f"format: {stated}"))
    _refused_everywhere(runs, capfd, "")


def _refused_everywhere(runs: Path, capfd: pytest.CaptureFixture[str], stated: str) -> None:
    for words in (["status", "first"], ["show", "first"], ["trials", "first"], ["resume", "first"], ["report", "first"]):
        code, _, err = said(capfd, *words)
        told = " ".join(err.split())
        assert code == RunError.exit_code, words
        assert f"its format is {stated}" in told, words
        assert "reads 1 and 2" in told, words
        assert "Traceback" not in err
    code, out, _ = said(capfd, "status")
    assert code == 0
    assert "its format is" in " ".join(out.split())
    line = read_line(runs / "first")
    assert line.status == "damaged"
    assert "its format is" in line.problem


# A damaged row of format 2 is shown, and the rest stays usable


def test_a_changed_row_is_named_by_every_reader_and_refused_by_a_resume(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_run(runs / "second", [trial(n, 0.5 + n / 10, 50.0 + n) for n in range(4)], [(1, 7, 0.6)])
    change(folder / "run.db", "UPDATE trials SET seconds = 9999 WHERE number = 1")
    run = load_run(folder)
    assert [t.number for t in run.trials] == [0, 2, 3]
    assert "trial 1: its row is damaged" in run.problems[0]
    assert run.trial(3).number == 3
    assert run.confirmed == []
    assert "trial 1" in read_line(folder).problem
    live = LiveRun(folder)
    assert [t.number for t in live.since(0)] == [0, 2, 3]
    assert "its row is damaged" in " ".join(said(capfd, "status", "second")[1].split())
    with closing(Store(folder, "w")) as store, pytest.raises(RunError, match="trial 1: its row is damaged"):
        recover(store, died=True)
