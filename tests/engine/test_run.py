"""A run's folder: made once, refused to others, stopped from outside, killed, and resumed to exactly the asked number."""

from __future__ import annotations

import os
import random
import shlex
import signal
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driver import driver
from searching import FEW, config, plain
from thoroughness import slow_but
from trainings import fault, pretend

from dcdnas.core.lock import FolderLock, live_driver
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending, Trial
from dcdnas.engine import signals
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.continuing import extend
from dcdnas.engine.execution import Execution
from dcdnas.engine.formats import FORMAT, command_to_go_on
from dcdnas.engine.job import Job
from dcdnas.engine.prepare import prepare
from dcdnas.engine.progress import Progress
from dcdnas.engine.run import search
from dcdnas.engine.store import Store
from dcdnas.errors import BudgetError, DataError, DcdnasError, NothingFitsError, Resumable, RunError


def trials_of(folder: Path) -> list[Trial]:
    with closing(Store(folder)) as store:
        return store.trials()


def states_of(folder: Path) -> dict[str, int]:
    with closing(Store(folder)) as store:
        return store.counts()


def inline(train: Any = pretend) -> Execution:
    return Execution(executor="inline", train=train)


# Making a run


def test_a_run_is_searched_to_its_end(tmp_path: Path) -> None:
    seen: list[Progress] = []
    prepare(tmp_path / "run", config(trials=5, confirm=1))
    assert search(tmp_path / "run", inline(), seen.append) is Ending.COMPLETED
    assert states_of(tmp_path / "run")["finished"] == 5
    assert (seen[-1].ended, seen[-1].asked, seen[-1].confirmed, seen[-1].to_confirm) == (
        5,
        5,
        *[len_confirmed(tmp_path / "run")] * 2,
    )
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["run.db", "run.db-journal", "search.yaml"]


def len_confirmed(folder: Path) -> int:
    with closing(Store(folder)) as store:
        return len(store.confirmations())


def test_the_same_search_again_goes_on_and_may_ask_for_more(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=4))
    search(tmp_path / "run", inline())
    before = trials_of(tmp_path / "run")
    assert prepare(tmp_path / "run", config(trials=2)).trials == 4
    assert prepare(tmp_path / "run", config(trials=9)).trials == 9
    search(tmp_path / "run", inline())
    after = trials_of(tmp_path / "run")
    assert after[: len(before)] == before
    assert sum(t.state == "finished" for t in after) == 9


def test_a_run_is_extended(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=3))
    search(tmp_path / "run", inline())
    assert extend(tmp_path / "run", 6).trials == 6
    search(tmp_path / "run", inline())
    assert states_of(tmp_path / "run")["finished"] == 6


def test_another_search_in_the_same_folder_is_refused_and_shown(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(seed=1))
    with pytest.raises(RunError, match=r"holds another search(.|\n)*seed: 1 there, 2 here(.|\n)*--name"):
        prepare(tmp_path / "run", config(seed=2))
    assert SearchConfig.read(tmp_path / "run" / "search.yaml").seed == 1


@pytest.mark.parametrize(
    ("data", "command"),
    [
        ("fashion-mini", "dcdnas resume "),
        ("task:ask-tell", "`dcdnas ask-tell --name run`"),
        ("task:mine:Task", "`dcdnas.search(..., task=..., name='run')`"),
    ],
)
def test_what_holds_another_search_says_how_that_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, command: str
) -> None:
    monkeypatch.setenv("DCDNAS_RUNS", str(tmp_path))
    task = TrainingTask(data=data)
    (tmp_path / "run").mkdir()
    config(seed=1, task=task).write(tmp_path / "run" / "search.yaml")
    with pytest.raises(RunError) as refused:
        prepare(tmp_path / "run", config(seed=2, task=task))
    assert command in str(refused.value)


def test_a_run_of_an_own_loop_elsewhere_is_continued_with_the_folder_that_it_is_in(tmp_path: Path) -> None:
    folder = tmp_path / "other runs" / "mine"
    command = f"DCDNAS_RUNS={shlex.quote(str(tmp_path / 'other runs'))} dcdnas ask-tell --name mine"
    assert command_to_go_on(folder, FORMAT, "ask-tell") == command


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("photo")
    with pytest.raises(RunError, match="not empty and is no run"):
        prepare(tmp_path, config())
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    ("c", "error"),
    [
        (config(budget=["1kFLOPs"]), NothingFitsError),
        (config(task=TrainingTask(data="npz:/nowhere.npz")), DataError),
    ],
)
def test_what_cannot_be_searched_leaves_no_folder(tmp_path: Path, c: SearchConfig, error: type[Exception]) -> None:
    with pytest.raises(error):
        prepare(tmp_path / "run", c)
    assert not (tmp_path / "run").exists()
    assert not issubclass(error, BudgetError)


def test_a_preparation_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    prepare(tmp_path, config(trials=2))
    (tmp_path / "search.yaml").unlink()
    prepare(tmp_path, config(trials=2))
    assert search(tmp_path, inline()) is Ending.COMPLETED


@pytest.mark.parametrize("content", [b"", b"what is this"])
def test_a_memory_without_content_is_made_anew_and_an_unknown_file_is_not(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.db").write_bytes(content)
    if content:
        with pytest.raises(RunError, match="is no run"):
            prepare(tmp_path, config())
        assert (tmp_path / "run.db").read_bytes() == content
    else:
        prepare(tmp_path, config(trials=2))
        assert search(tmp_path, inline()) is Ending.COMPLETED
        assert len(trials_of(tmp_path)) >= 2


def test_trials_are_never_deleted_because_the_configuration_is_gone(tmp_path: Path) -> None:
    prepare(tmp_path, config(trials=2))
    search(tmp_path, inline())
    (tmp_path / "search.yaml").unlink()
    with pytest.raises(RunError, match="is no run"):
        prepare(tmp_path, config(trials=2))
    assert len(trials_of(tmp_path)) >= 2


# Endings


@pytest.mark.slow
def test_an_exhausted_space_is_said(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(FEW, trials=9))
    assert search(tmp_path / "run", inline()) is Ending.EXHAUSTED
    with closing(Store(tmp_path / "run")) as store:
        assert store.ending() == (Ending.EXHAUSTED, Ending.EXHAUSTED.sentence)


def test_many_failures_are_an_error_that_says_how_to_see_them(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=30))
    with pytest.raises(DcdnasError, match=r"10 trainings in a row failed.*no such kernel.*dcdnas trials .*run"):
        search(tmp_path / "run", inline(lambda job, report: fault("raise")))
    assert states_of(tmp_path / "run")["failed"] == 10


def test_time_that_is_up_is_an_ordinary_end(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=30))
    assert search(tmp_path / "run", replace(inline(), timeout=-1)) is Ending.TIME_IS_UP
    assert states_of(tmp_path / "run") == {}
    assert search(tmp_path / "run", inline()) is Ending.COMPLETED


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config())
    with FolderLock(tmp_path / "run"), pytest.raises(RunError, match="is being searched by process"):
        search(tmp_path / "run", inline())


def test_a_driver_that_lost_its_run_ends_without_writing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepare(folder, config(trials=6))

    def losing(job: Job, report: Any) -> Any:
        if job.number == 2:
            with closing(Store(folder, "w")) as other:
                other.claim("somebody else")
        return pretend(job, report)

    with pytest.raises(RunError, match="taken over"):
        search(folder, inline(losing))
    assert states_of(folder) == {"finished": 2, "running": 1}


@pytest.mark.parametrize("now", [False, True])
def test_a_request_to_stop_is_granted_and_forgotten(tmp_path: Path, now: bool) -> None:
    folder = tmp_path / "run"
    prepare(folder, config(trials=8))

    def stopping(job: Job, report: Any) -> Any:
        if job.number == 2:
            signals.request_stop(folder, now)
        return pretend(job, report)

    with pytest.raises(Resumable, match=rf"stopped as asked: {2 if now else 3} of 8 .*dcdnas resume .*run"):
        search(folder, inline(stopping))
    assert states_of(folder) == ({"finished": 2, "interrupted": 1} if now else {"finished": 3})
    assert signals.requested(folder) == signals.NOTHING
    assert search(folder, inline()) is Ending.COMPLETED
    assert states_of(folder)["finished"] == 8


def test_a_request_that_nobody_heard_does_not_stop_the_next_session(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=2))
    signals.request_stop(tmp_path / "run", now=True)
    assert search(tmp_path / "run", inline()) is Ending.COMPLETED


# Drivers in processes of their own


@pytest.mark.parametrize("number", slow_but([signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]))
def test_ctrl_c_and_termination_keep_what_is_done_and_a_resume_completes_it(tmp_path: Path, number: int) -> None:
    prepare(tmp_path / "run", config(trials=8))
    with driver(tmp_path / "run", "longer") as process:
        process.wait_for(2)
        time.sleep(0.4)  # until further trainings are running
        os.killpg(process.pid, number)  # as a terminal does: to the driver and to all its workers
        code, out, err = process.end()
    assert (code, err) == (Resumable.exit_code, "")
    assert "error: interrupted: " in out
    kept = trials_of(tmp_path / "run")
    assert not [t for t in kept if t.state == "running"]
    assert 1 <= len([t for t in kept if t.state == "interrupted"]) <= 2
    assert live_driver(tmp_path / "run") is None
    assert search(tmp_path / "run", inline()) is Ending.COMPLETED
    after = trials_of(tmp_path / "run")
    done = [t for t in kept if t.state != "interrupted"]
    assert [after[t.number] for t in done] == done
    assert len(after) == sum(t.state == "finished" for t in after) == 8, "the interrupted ones keep their numbers"


@pytest.mark.slow
def test_a_stop_from_another_process_is_granted(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=30))
    with driver(tmp_path / "run", "slow") as process:
        process.wait_for(1)
        signals.request_stop(tmp_path / "run", now=False)
        code, out, err = process.end()
    assert (code, err) == (Resumable.exit_code, "")
    assert "error: stopped as asked: " in out
    assert set(states_of(tmp_path / "run")) == {"finished"}


def killed_and_resumed(folder: Path, c: SearchConfig, executor: str, moments: list[float]) -> None:
    """Kills the driver, each time so many seconds after its first event, then completes the search and looks at it."""
    prepare(folder, c)
    kept: list[Trial] = []
    for moment in moments:
        with driver(folder, "slow", executor) as process:
            process.lines.readline()
            time.sleep(moment)
            os.kill(process.pid, signal.SIGKILL)
            process.end()
        now = trials_of(folder)
        done = [t for t in now if t.state in ("finished", "stopped")]
        assert [t for t in now if t.number in {k.number for k in kept}] == kept
        kept = done
    assert search(folder, inline()) is Ending.COMPLETED
    after = {t.number: t for t in trials_of(folder)}
    assert [after[t.number] for t in kept] == kept
    states = states_of(folder)
    assert states.get("finished", 0) + states.get("stopped", 0) == c.trials
    assert "running" not in states


@pytest.mark.slow
def test_a_driver_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    rng = random.Random(time.time_ns())
    moments = [rng.uniform(0, 2) for _ in range(3)]
    print("moments:", moments)
    killed_and_resumed(tmp_path / "run", config(trials=14, early_stopping=True), "local", moments)


def test_workers_do_not_outlive_a_driver_that_is_killed(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=20))
    with driver(tmp_path / "run", "slow") as process:
        process.wait_for(1)
        children = [int(p) for p in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        assert children
        os.kill(process.pid, signal.SIGKILL)
        process.end()
        until = time.monotonic() + 30
        while any(alive(pid) for pid in children) and time.monotonic() < until:
            time.sleep(0.05)
        assert not [pid for pid in children if alive(pid)]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_two_finished_searches_of_one_seed_are_equal(tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepare(tmp_path / name, config(trials=4))
        search(tmp_path / name, inline())
    assert plain(trials_of(tmp_path / "a")) == plain(trials_of(tmp_path / "b"))


def test_a_search_that_is_refused_keeps_its_number_of_trainings(tmp_path: Path) -> None:
    run = tmp_path / "run"
    prepare(run, config(trials=2))
    with FolderLock(run), pytest.raises(RunError, match="is being searched by"):
        search(run, inline(), trials=50)
    with FolderLock(run), pytest.raises(RunError, match="is being searched by"):
        prepare(run, config(trials=50))
    assert SearchConfig.read(run / "search.yaml").trials == 2
    assert search(run, inline(), trials=3) is Ending.COMPLETED
    assert (SearchConfig.read(run / "search.yaml").trials, states_of(run)["finished"]) == (3, 3)
