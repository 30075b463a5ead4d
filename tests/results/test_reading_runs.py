"""A run as it is read from its folder: states, front, best, confirmation, history."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from written_runs import trial, write_run

from dcdnas.core.budget import parse_budgets
from dcdnas.core.geometry import Cost
from dcdnas.core.lock import FolderLock
from dcdnas.core.pareto import hypervolume
from dcdnas.core.trial import Ending, Score
from dcdnas.cost import notations
from dcdnas.engine.store import CONFIRMING, Confirmation, Store
from dcdnas.errors import RunError, UnknownNameError, UsageError
from dcdnas.results import load_run, run_folders
from dcdnas.results.history import History

COLUMNS = [
    "number", "state", "accuracy", "flops", "params", "epochs", "seconds", "seed", "digest", "on_front", "reason", "failure",
    "confirmed_mean", "confirmed_seeds",
]  # fmt: skip

TRIALS = [
    trial(0, 0.70, 90.0),
    trial(1, 0.60, 30.0),
    trial(2, 0.80, 95.0),
    trial(3, 0.55, 40.0),
    trial(4, 0.30, 20.0, "stopped"),
    trial(5, None, 150.0, "refused", reason="150 FLOPs is outside flops <= 100 FLOPs"),
    trial(6, 0.90, 120.0),
]


def test_the_front_is_what_no_other_finished_trial_within_the_budget_beats(tmp_path: Path) -> None:
    assert [t.number for t in load_run(write_run(tmp_path / "r", TRIALS)).front()] == [1, 0, 2]


def test_the_front_can_be_cut_at_another_budget(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS))
    assert [t.number for t in run.front(parse_budgets(["91 flops"], notations()))] == [1, 0]
    assert [t.number for t in run.front(())] == [1, 0, 2, 6]


def test_without_confirmation_the_best_is_the_best_single_training(tmp_path: Path) -> None:
    best = load_run(write_run(tmp_path / "r", TRIALS)).best
    assert best is not None
    assert best.number == 2


def test_the_confirmed_mean_decides_over_a_lucky_single_training(tmp_path: Path) -> None:
    rows = [(2, 1, 0.60), (2, 2, 0.62), (0, 1, 0.70), (0, 2, 0.72)]
    run = load_run(write_run(tmp_path / "r", TRIALS, rows))
    assert [c.trial.number for c in run.confirmed] == [0, 2]
    assert run.best is run.trials[0]
    assert run.value(run.best) == pytest.approx(0.71)


def test_a_number_that_no_trial_can_have_names_none(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS))
    assert run.trial("0") is run.trial(0) is run.trials[0]
    with pytest.raises(UnknownNameError, match="unknown trial '²'"):
        run.trial("²")
    with pytest.raises(UsageError, match=r"has no trial 1{5000}: its last one is"):
        run.trial("1" * 5000)


def test_a_lucky_single_training_does_not_take_the_place_of_what_was_confirmed(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS, [(0, 1, 0.70)]))
    assert run.best is run.trials[0]
    assert run.trial("best", parse_budgets(["91 flops"], notations())) is run.trials[0]


def test_the_frame_has_the_means_over_fresh_seeds(tmp_path: Path) -> None:
    rows = load_run(write_run(tmp_path / "r", TRIALS, [(0, 1, 0.70), (0, 2, 0.74)])).rows
    assert [(r["accuracy"], r["confirmed_mean"], r["confirmed_seeds"]) for r in rows[:2]] == [
        (0.70, pytest.approx(0.72), 2),
        (0.60, None, 0),
    ]


def test_at_a_budget_the_confirmation_did_not_reach_the_single_training_decides(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS, [(2, 1, 0.60), (0, 1, 0.70)]))
    best = run.best_within(parse_budgets(["50 flops"], notations()))
    assert best is not None
    assert best.number == 1


def test_the_order_of_two_budgets_does_not_change_the_best_network(tmp_path: Path) -> None:
    stored = load_run(write_run(tmp_path / "r", TRIALS, [(0, 1, 0.70)]))
    run = replace(
        stored, config={**stored.config, "budgets": [{"metric": "flops", "at_most": 100}, {"metric": "params", "at_most": 10}]}
    )
    assert run.trial("best").number == 0
    assert run.best_within(run.budgets[::-1]) is run.trial("best")


def test_confirmed_networks_are_compared_on_the_seeds_they_share(tmp_path: Path) -> None:
    rows = [(2, 1, 0.80), (2, 2, 0.84), (2, 3, None), (0, 1, 0.70), (0, 2, 0.72), (0, 3, 0.99)]
    one, other = sorted(load_run(write_run(tmp_path / "r", TRIALS, rows)).confirmed, key=lambda c: -c.trial.number)
    found = one.against(other, images=100)
    assert found is not None
    assert (round(found.mean, 6), found.pairs) == (0.11, 2)
    assert found.margin == pytest.approx(12.706 * 0.0141421 / 2**0.5, abs=1e-5)
    assert one.failed == (3,)


def test_the_frame_has_the_documented_columns_then_the_decisions(tmp_path: Path) -> None:
    frame = load_run(write_run(tmp_path / "r", TRIALS)).frame
    assert list(frame.columns) == [*COLUMNS, "width"]
    assert len(frame) == len(TRIALS)
    assert list(frame[frame.on_front].number) == [0, 1, 2]
    assert frame.set_index("number").reason[5].startswith("150 FLOPs")


def test_the_frame_of_a_run_without_trials_has_its_columns(tmp_path: Path) -> None:
    assert list(load_run(write_run(tmp_path / "r", [])).frame.columns) == COLUMNS


def test_further_costs_stand_after_those_of_every_price(tmp_path: Path) -> None:
    cost = Cost({"flops": 9.0, "params": 4.0, "weights": 16.0})
    run = load_run(write_run(tmp_path / "r", [trial(0, 0.5, 9.0, cost=cost)]))
    assert list(run.frame.columns[:7]) == [*COLUMNS[:5], "weights", "epochs"]


def test_of_two_trials_of_one_network_the_first_alone_is_on_the_front_and_in_the_history(tmp_path: Path) -> None:
    one, other = trial(7, 0.75, 91.0, deployed="one"), trial(8, 0.85, 91.0, deployed="one")
    run = load_run(write_run(tmp_path / "r", [*TRIALS, one, other]))
    assert [t.number for t in run.front()] == [1, 0, 7, 2]
    assert run.history[-1].hypervolume == pytest.approx(run.hypervolume)
    assert run.history[-1].best == 0.8


def test_the_history_ends_at_the_hypervolume_and_never_falls(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS))
    volumes = [m.hypervolume for m in run.history]
    assert volumes == sorted(volumes)
    assert volumes[-1] == pytest.approx(run.hypervolume)
    assert run.hypervolume == pytest.approx(hypervolume(TRIALS, run.budgets, run.goals, run.bounds))
    assert [m.ended for m in run.history] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_the_history_is_that_of_the_ends_in_whatever_order_the_trials_arrive(tmp_path: Path, order: tuple[int, ...]) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS))
    history = History(run.budgets, run.goals, run.bounds)
    ended = [replace(run.trials[number], ended=float(number + 1)) for number in range(4)]
    for number in order:
        history.extend([ended[number]])
        history.extend([ended[order[0]]])
    assert history.moments == History(run.budgets, run.goals, run.bounds).extend(ended)
    assert [m.ended for m in history.moments] == [1, 2, 3, 4]


def test_a_run_that_reached_its_number_is_finished(tmp_path: Path) -> None:
    assert load_run(write_run(tmp_path / "r", TRIALS[:4])).status == "finished"


def test_a_run_that_has_not_is_interrupted(tmp_path: Path) -> None:
    assert load_run(write_run(tmp_path / "r", TRIALS[:4], trials=9)).status == "interrupted"


def test_a_run_whose_time_was_up_is_finished(tmp_path: Path) -> None:
    assert load_run(write_run(tmp_path / "r", TRIALS[:4], trials=9, ending=Ending.TIME_IS_UP)).status == "finished"


def test_a_run_that_still_has_to_confirm_is_interrupted(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", TRIALS[:4], confirm=3, confirm_top=2)
    run = load_run(folder)
    assert (run.unconfirmed, run.status) == (6, "interrupted")
    with closing(Store(folder, "w")) as store:
        store.set_meta(CONFIRMING, {"lost": {}, "running": [], "chosen": [0, 2, 3]})
        store.add_confirmation(Confirmation(2, 1, "finished", Score({"accuracy": 0.8}, 1, 1.0)))
    run = load_run(folder)
    assert (run.chosen, run.unconfirmed, run.status) == ((0, 2, 3), 8, "interrupted")


def test_a_run_that_does_not_say_whom_it_confirms_has_those_left_that_were_begun(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS[:4], [(2, 1, 0.8), (3, 1, 0.7), (3, 2, 0.7)], confirm=2, confirm_top=1))
    assert (run.unconfirmed, run.status) == (1, "interrupted")


def test_a_run_that_somebody_is_searching_is_running(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", TRIALS)
    with FolderLock(folder):
        run = load_run(folder)
        assert run.status == "running"
        assert run.driver is not None
        assert (run.driver["pid"], run.driver["host"]) == (os.getpid(), socket.gethostname())


def test_a_run_whose_search_ends_while_it_is_read_is_still_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "r", TRIALS[:4], trials=9)
    held, close = ExitStack(), Store.close
    held.enter_context(FolderLock(folder))

    def ending(store: Store) -> None:
        close(store)
        held.close()

    monkeypatch.setattr(Store, "close", ending)
    assert [load_run(folder).status for _ in range(2)] == ["running", "interrupted"]


def test_a_damaged_search_file_is_a_note_and_not_the_end(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", TRIALS)
    (folder / "search.yaml").write_text("budgets: [")
    run = load_run(folder)
    assert "Shown without its budgets" in run.problems[0]
    assert len(run.trials) == len(TRIALS)


def test_a_damaged_memory_is_an_error_that_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", TRIALS)
    (folder / "run.db").write_bytes(b"gone" * 2000)
    with pytest.raises(RunError, match="damaged"):
        load_run(folder)


def test_a_run_is_read_while_somebody_writes_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", TRIALS)
    writer = sqlite3.connect(folder / "run.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM trials")
    try:
        assert len(load_run(folder).trials) == len(TRIALS)
    finally:
        writer.execute("ROLLBACK")
        writer.close()


def test_runs_are_found_by_name_below_the_runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCDNAS_RUNS", str(tmp_path))
    write_run(tmp_path / "first", TRIALS)
    assert load_run("first").name == "first"
    assert [p.name for p in run_folders()] == ["first"]
    with pytest.raises(RunError, match=r"Did you mean 'first'\?"):
        load_run("frist")


@pytest.mark.parametrize("which", ["7", "-1", "worst"])
def test_a_trial_that_is_not_there_is_refused(tmp_path: Path, which: str) -> None:
    with pytest.raises(UsageError):
        load_run(write_run(tmp_path / "r", TRIALS)).trial(which)


def test_the_static_reference_is_found_where_it_was_interrupted_and_asked_again(tmp_path: Path) -> None:
    rows = [trial(0, None, 90.0, "interrupted"), trial(1, 0.60, 30.0), trial(2, 0.70, 90.0, origin="static")]
    found = load_run(write_run(tmp_path / "r", rows)).static
    assert found is not None
    assert found.number == 2
