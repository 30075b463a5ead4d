"""A run's memory that somebody damaged, or made to do harm: it is said what is wrong, and other runs are shown all the same."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from thoroughness import slow_but
from written_runs import trial, write_run

from dcdnas.cli import main
from dcdnas.core.geometry import Cost
from dcdnas.core.lock import live_driver
from dcdnas.core.trial import Trial
from dcdnas.dashboard import runs as shelf_module
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.dashboard.runs import Shelf, read_line
from dcdnas.engine import store as store_module
from dcdnas.engine._rows import network_row, trial_row
from dcdnas.engine.signals import FILE as STOP
from dcdnas.engine.signals import clear_request, requested
from dcdnas.engine.store import Store
from dcdnas.errors import RunError
from dcdnas.results import load_run, read_notes
from dcdnas.results.notes import FILE as NOTES

DEEP = "[" * 100_000
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT t.* FROM kept t, n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "runs" / "bad", [trial(n, 0.1 + 0.05 * n, 20.0 + n) for n in range(6)])


def change(run: Path, *statements: str) -> None:
    with closing(sqlite3.connect(run / "run.db", isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


FACTS = {
    "bounds": ["{", "3", '{"accuracy": 3}', '{"accuracy": [1e999, 2]}', '{"accuracy": [NaN, 1]}', DEEP],
    "ending": ['"tired"', "[1]", "3"],
    "reason": ["[1]", "null"],
}
LEFT_OUT = {
    "created": ["[]", "1e300", "-1e12", "NaN", '"today"', "9" * 5000],
    "images": ["[]", '{"validation": "many"}', '{"shape": [1]}', '{"classes": {}}', '{"mean": [null]}'],
    "timed": ["3", '{"a": {"latency": 1}}', '{"a": {"latency": "x", "iqr": 0}}'],
}


@pytest.mark.parametrize(("fact", "value"), [(f, v) for f, values in FACTS.items() for v in values])
def test_a_run_whose_facts_are_damaged_is_refused_in_words(run: Path, fact: str, value: str) -> None:
    change(run, f"INSERT OR REPLACE INTO meta VALUES ('{fact}', '{value}')")
    with pytest.raises(RunError, match=rf"run\.db: damaged: .*{fact}"):
        load_run(run)
    assert read_line(run).status == "damaged"


@pytest.mark.parametrize(("fact", "value"), [(f, v) for f, values in LEFT_OUT.items() for v in values])
def test_facts_that_a_run_can_be_shown_without_are_left_out(run: Path, fact: str, value: str) -> None:
    change(run, f"INSERT OR REPLACE INTO meta VALUES ('{fact}', '{value}')")
    found = load_run(run)
    assert len(found.trials) == 6
    assert [fact in problem for problem in found.problems] == [True]


def forged(number: int, **columns: Any) -> list[Trial]:
    """A trial that a file cannot be trusted to have, whose row has the right digest all the same."""
    return [trial(number, 0.5, 30.0, **columns)]


ROWS: dict[str, dict[str, Any]] = {
    "an unknown state": {"state": "asleep"},
    "a list for a seed": {"seed": "[1]"},
    "a seed below 0": {"seed": -1},
    "bytes for a reason": {"reason": b"\xff"},
    "a time that no calendar has": {"ended": 1e300},
    "words for a time": {"started": "today"},
    "half a count": {"lost": 0.5},
}


@pytest.mark.parametrize("columns", ROWS.values(), ids=ROWS)
def test_a_row_of_other_types_is_named_though_its_digest_is_right(run: Path, columns: dict[str, Any]) -> None:
    row = trial_row(forged(9, **{k: v for k, v in columns.items() if k not in ("started", "ended")})[0])
    if "ended" in columns or "started" in columns:
        values = list(row[:-1])
        values[17 if "ended" in columns else 16] = next(iter(columns.values()))
        row = store_module.rows.sealed(values)
    with closing(sqlite3.connect(run / "run.db", isolation_level=None)) as db:
        db.execute(f"INSERT INTO trials VALUES ({','.join('?' * len(row))})", row)
        network = network_row(trial(9, 0.5, 30.0))
        db.execute(f"INSERT INTO networks VALUES ({','.join('?' * len(network))})", network)
    found = load_run(run)
    assert [t.number for t in found.trials] == list(range(6))
    assert any("trial 9: its row is damaged" in problem and "is not a valid value" in problem for problem in found.problems)


def test_a_trial_without_the_cost_that_a_budget_is_on_is_left_out(run: Path) -> None:
    before = LiveRun(run)
    with closing(Store(run, "w")) as store:
        store.add(replace(trial(9, 0.5, 30.0), cost=Cost({"params": 3.0})))
    found = load_run(run)
    assert 9 not in found.by_number
    assert any("trial 9: its cost has no flops. It is left out." in problem for problem in found.problems)
    assert before.refresh()
    for live in (before, LiveRun(run)):
        assert live.run.by_number.keys() == found.by_number.keys()
        assert any("its cost has no flops" in problem for problem in live.run.problems)


def test_numbers_far_apart_are_one_gap(run: Path) -> None:
    change(run, f"UPDATE trials SET number = {2**63 - 1} WHERE number = 5")
    found = load_run(run)
    assert any(f"trials 5 to {2**63 - 2}: their rows are missing" in problem for problem in found.problems)
    assert len(found.trials) == 5


OTHERS = {
    "a view without end": ("ALTER TABLE trials RENAME TO kept", f"CREATE VIEW trials AS {ENDLESS}"),
    "a trigger": ("CREATE TRIGGER late AFTER INSERT ON trials BEGIN DELETE FROM reports; END",),
    "a computed column": ("ALTER TABLE meta ADD COLUMN more TEXT GENERATED ALWAYS AS (hex(zeroblob(100000000)))",),
    "no such table": ("DROP TABLE networks",),
    "no facts": ("DROP TABLE meta",),
}


@pytest.mark.parametrize("statements", OTHERS.values(), ids=OTHERS)
def test_a_memory_of_other_than_plain_tables_is_refused_at_once(run: Path, statements: tuple[str, ...]) -> None:
    change(run, *statements)
    begun = time.process_time()
    with pytest.raises(RunError, match=r"run\.db: damaged: "):
        load_run(run)
    assert time.process_time() - begun < 5


def test_reading_a_table_has_a_deadline(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LONGEST", 0.2)
    with closing(Store(run)) as store, pytest.raises(RunError, match=r"a table takes longer than 0\.2 s to read"):
        store._read("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x < 0")


def test_a_table_has_no_more_rows_than_its_file_has_room_for(run: Path) -> None:
    with closing(Store(run)) as store, pytest.raises(RunError, match="more rows than fit into the file"):
        store._read("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n")


def test_a_bad_run_hides_no_other_one(run: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCDNAS_RUNS", str(run.parent))
    write_run(run.parent / "good", [trial(0, 0.5, 20.0)])
    change(run, "UPDATE meta SET value = '{' WHERE key = 'bounds'")
    with pytest.raises(SystemExit) as ended:
        main(["status", "--json"])
    assert ended.value.code in (0, None)
    assert {one["run"]: one["status"] for one in json.loads(capfd.readouterr().out)} == {"bad": "damaged", "good": "finished"}
    assert {line.name: line.status for line in Shelf(run.parent).lines()} == {"bad": "damaged", "good": "finished"}


def test_what_nobody_foresaw_is_one_damaged_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(shelf_module, "load_run", broken)
    line = Shelf(run.parent).lines()[0]
    assert (line.status, "ZeroDivisionError: nobody foresaw this" in line.problem) == ("damaged", True)


def test_a_run_that_takes_long_to_read_holds_up_no_other(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(run.parent / "good", [trial(0, 0.5, 20.0)])
    let_go, reading = threading.Event(), threading.Event()

    def slow(folder: Path) -> LiveRun:
        if folder.name == "bad":
            reading.set()
            assert let_go.wait(60)
        return LiveRun(folder)

    monkeypatch.setattr(shelf_module, "LiveRun", slow)
    shelf = Shelf(run.parent)
    waiting = threading.Thread(target=shelf.open, args=("bad",))
    waiting.start()
    assert reading.wait(60)
    assert len(shelf.open("good").run.trials) == 1
    assert waiting.is_alive()
    let_go.set()
    waiting.join(60)


@pytest.mark.parametrize("name", ["y" * 300, "y\0y"])
def test_a_name_that_no_file_system_takes_is_no_run(run: Path, name: str) -> None:
    with pytest.raises(RunError, match="no run"):
        Shelf(run.parent).open(name)
    with pytest.raises(RunError, match="no run"):
        load_run(name)


@pytest.mark.parametrize("content", slow_but([b"\xff\xfe"], [b"\xff\xfe", b"", b"now" * 100_000]))
def test_a_request_to_stop_that_is_no_text_is_none(run: Path, content: bytes) -> None:
    (run / STOP).write_bytes(content)
    assert not requested(run).now


def test_a_folder_in_place_of_a_request_is_said(run: Path) -> None:
    (run / STOP).mkdir()
    assert requested(run).ending is None
    with pytest.raises(RunError, match="cannot be removed"):
        clear_request(run)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(run: Path) -> None:
    for name in (NOTES, "driver.json", STOP):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
    (run / "search.yaml").unlink()
    os.mkfifo(run / "search.yaml")
    with pytest.raises(RunError, match="it is a pipe or a socket"):
        read_notes(run)
    assert live_driver(run) is None
    assert requested(run).ending is None
    assert "it is a pipe or a socket" in load_run(run).problems[0]


CONFIGS = {
    "trials: many": "trials",
    "trials: -1": "-1",
    "task: [1]": "task",
    "minimize: flops": "minimize",
    "budgets: [{metric: flops, at_most: lots}]": "at_most",
    "objectives: [3]": "",
    "space: 3": "space",
}


@pytest.mark.parametrize("line", CONFIGS)
def test_a_search_of_other_types_is_shown_without_it(run: Path, line: str) -> None:
    key = line.partition(":")[0]
    kept = (run / "search.yaml").read_text().replace(f"\n{key}:", f"\nx-{key}:")
    (run / "search.yaml").write_text(kept.replace("\nspace:", "\nx-space:") + line + "\n")
    found = load_run(run)
    assert "Shown without its budgets" in " ".join(found.problems)
    assert CONFIGS[line] in " ".join(found.problems)
    assert len(found.trials) == 6
