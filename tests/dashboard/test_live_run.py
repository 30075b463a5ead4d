from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from serving import Site
from synthetic import confirm, invent, make_run, outcome, put

from dcdnas.core.trial import EpochResult, Trial
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.dashboard.runs import Line, Shelf, read_line
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.continuing import extend
from dcdnas.engine.store import CONFIRMING, Store
from dcdnas.errors import RunError
from dcdnas.pages import payload
from dcdnas.results import load_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_run(tmp_path / "run", 12, asked=30)
    return tmp_path / "run"


def more(folder: Path, count: int) -> list[Trial]:
    """Writes new trials, the first of them still running; returns them."""
    config = SearchConfig.read(folder / "search.yaml")
    first = len(load_run(folder).trials)
    trials = list(invent(config.build_space(), config, count, seed=7, first=first))
    trials[0] = replace(trials[0], state="running", score=None, ended=0.0)
    store = Store(folder, "w")
    for trial in trials:
        put(store, trial)
    store.close()
    return trials


def test_what_is_read_piece_by_piece_is_what_is_read_at_once(folder: Path) -> None:
    live = LiveRun(folder)
    for _ in range(3):
        more(folder, 4)
        assert live.refresh()
    whole = load_run(folder, curves=False)
    assert [(t.number, t.state, t.cost, t.architecture) for t in live.run.trials] == [
        (t.number, t.state, t.cost, t.architecture) for t in whole.trials
    ]
    assert live.front == live.run.front()
    assert [t.number for t in live.front] == [t.number for t in whole.front()]
    assert live.history.moments == whole.history
    assert live.best is not None
    assert whole.best is not None
    assert live.best.number == whole.best.number


def test_a_change_that_could_not_be_read_is_read_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveRun(folder)

    def cannot_read(what: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Store, what, refusing)
            with pytest.raises(RunError, match="is locked"):
                live.refresh()

    more(folder, 4)
    cannot_read("trials")
    assert live.refresh()
    assert len(live.run.trials) == 16
    extend(folder, 40)
    cannot_read("marks")
    assert live.refresh()
    assert live.run.asked == 40


def refusing(*_: object, **__: object) -> None:
    raise RunError("run.db is locked")


def test_a_page_s_changes_are_read_while_another_page_adds_some(folder: Path) -> None:
    live = LiveRun(folder)

    class Adding(int):
        """A version that is compared while another request takes a new trial."""

        def __gt__(self, other: object) -> bool:
            live.changed[len(live.changed)] = 0
            return True

    live.changed = dict.fromkeys(live.changed, Adding())
    assert len(live.since(1)) == 12


def test_latencies_that_are_measured_while_a_run_is_open_appear(folder: Path) -> None:
    live = LiveRun(folder)
    known = {"1ae05d6626218458": {"latency": 1000, "iqr": 10}}
    store = Store(folder, "w")
    store.set_meta("timed", known)
    store.close()
    assert live.refresh()
    assert live.run.timed == load_run(folder).timed == known


def test_nothing_new_is_no_change(folder: Path) -> None:
    live = LiveRun(folder)
    version = live.version
    assert not live.refresh()
    assert live.version == version
    assert live.since(version) == []


def test_only_what_changed_is_sent(folder: Path) -> None:
    live = LiveRun(folder)
    before = live.version
    new = more(folder, 3)
    live.refresh()
    assert [row[0] for row in payload.payload(live, before)["rows"]] == [t.number for t in new]
    assert payload.payload(live, live.version)["rows"] == []


def test_a_running_trial_that_ends_changes(folder: Path) -> None:
    live = LiveRun(folder)
    running = more(folder, 1)[0]
    live.refresh()
    before = live.version
    store = Store(folder, "w")
    store.add_report(running.number, EpochResult(1, {"accuracy": 0.5, "loss": 1.0}, 2.0))
    store.close()
    assert live.refresh()
    assert [t.number for t in live.since(before)] == [running.number]
    assert [r.values["accuracy"] for r in live.curve(running.number)] == [0.5]


def test_more_trainings_asked_for_are_seen(folder: Path) -> None:
    live = LiveRun(folder)
    replace(SearchConfig.read(folder / "search.yaml"), trials=99).write(folder / "search.yaml")
    assert live.refresh()
    assert live.run.asked == 99


def test_a_page_from_before_a_restart_is_sent_everything(folder: Path) -> None:
    old = LiveRun(folder).version
    assert len(LiveRun(folder).since(old - 1)) == 12


def test_few_runs_stay_in_memory(tmp_path: Path) -> None:
    for name in "abcd":
        make_run(tmp_path / name, 1)
    shelf = Shelf(tmp_path, keep=2)
    first = shelf.open("a")
    assert shelf.open("a") is first
    shelf.open("b")
    shelf.open("c")
    assert shelf.open("a") is not first


def test_a_run_that_is_written_to_gets_a_new_line(folder: Path) -> None:
    shelf = Shelf(folder.parent)
    before = shelf.lines()
    assert shelf.lines()[0] is before[0]
    more(folder, 8)
    assert shelf.lines()[0].ended > before[0].ended


def test_many_who_ask_for_the_list_at_one_time_have_a_run_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "run", 3)
    shelf, read = Shelf(tmp_path), []

    def slowly(folder: Path) -> Line:
        read.append(folder.name)
        time.sleep(0.05)
        return Line(folder.name, "finished")

    monkeypatch.setattr("dcdnas.dashboard.runs.read_line", slowly)
    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(lambda _: shelf.lines(), range(8)))
    assert [[line.name for line in lines] for lines in lists] == [["run"]] * 8
    assert read == ["run"]


def test_a_stream_tells_of_a_new_trial(own_site: Site) -> None:
    folder = own_site.root / "run"
    config = make_run(folder, 5, asked=9)
    version = json.loads(own_site.get("/runs/run/trials.json").text)["version"]
    stream = own_site.events(f"/runs/run/events?version={version}")
    assert next(stream).startswith("retry:")
    trial = next(t for t in invent(config.build_space(), config, 9, seed=3, first=5) if t.number >= 5)
    store = Store(folder, "w")
    put(store, outcome(replace(trial, number=5, reason=""), 4, random.Random(1)))
    store.close()
    lines: list[str] = []
    while not any(line.startswith("data:") for line in lines):
        lines.append(next(stream))
    stream.close()
    assert "event: change\n" in lines
    news = json.loads(lines[-1].removeprefix("data:"))
    assert [row[0] for row in news["rows"]] == [5]
    assert news["facts"]["progress"].endswith("of 9 trainings")
    assert news["version"] > version


def test_a_stream_of_a_run_that_vanishes_ends_with_the_reason(own_site: Site) -> None:
    folder = own_site.root / "run"
    make_run(folder, 3)
    version = json.loads(own_site.get("/runs/run/trials.json").text)["version"]
    stream = own_site.events(f"/runs/run/events?version={version}")
    next(stream)
    (folder / "run.db").write_bytes(b"damaged" * 1000)
    lines: list[str] = []
    while not any(line.startswith("data:") for line in lines):
        lines.append(next(stream))
    stream.close()
    assert "event: problem\n" in lines
    assert "damaged" in lines[-1]


def test_the_list_says_the_confirmed_mean_of_the_best_network(tmp_path: Path) -> None:
    make_run(tmp_path / "run", 20)
    single = load_run(tmp_path / "run").best
    assert single is not None
    confirm(tmp_path / "run", single.number, [0.50, 0.52])
    line = read_line(tmp_path / "run")
    assert line.best_number == single.number
    assert line.best == "accuracy 51.0 %"


def test_a_run_that_is_watched_says_whom_it_confirms_once_they_are_chosen(tmp_path: Path) -> None:
    make_run(tmp_path / "run", 20)
    live = LiveRun(tmp_path / "run")
    assert live.run.chosen == ()
    with closing(Store(tmp_path / "run", "w")) as store:
        store.set_meta(CONFIRMING, {"lost": {}, "running": [], "chosen": [3, 0]})
    live.refresh()
    assert live.run.chosen == (3, 0)


def test_a_run_with_accuracy_as_its_only_objective_is_shown_against_its_budget(folder: Path) -> None:
    store = Store(folder, "w")
    with store.transaction():
        store.set_meta("bounds", {"accuracy": [0.1, 1.0]})
    store.close()
    live = LiveRun(folder)
    sent = payload.payload(live)
    assert sent["objective"] == "flops"
    best = max(t.score.values["accuracy"] for t in live.front if t.score)
    assert {t.score.values["accuracy"] for t in live.front if t.score} == {best}
    assert sent["front"] == [t.number for t in live.front]
