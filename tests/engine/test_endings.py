"""How a search ended and why a training failed, as data from the engine to the memory, the run, JSON and the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch
from searching import FEW, config, loop_of
from thoroughness import slow_but
from trainings import pretend

from dcdnas.cli.status import document
from dcdnas.core.lock import FolderLock
from dcdnas.core.trial import Ending, FailureKind
from dcdnas.engine import run as engine
from dcdnas.engine import signals
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.inline import Inline
from dcdnas.engine.job import Job, Outcome, failed, kind_of
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.prepare import prepare
from dcdnas.engine.store import Store
from dcdnas.errors import DataError, DcdnasError, Diverged, MismatchError, TrainingTimeout
from dcdnas.pages import context
from dcdnas.pages.advice import HINTS
from dcdnas.pages.render import text
from dcdnas.pages.snapshot import Still
from dcdnas.results import load_run

WORDS = "RESOURCE_EXHAUSTED: memory exhausted, time is up, interrupted, stopped as asked, 10 trainings in a row failed, nan, OOM"
"""What a message may say, whatever really happened."""


def raising(job: Job, report: Any) -> Any:
    raise RuntimeError(WORDS)


def interrupting(job: Job, report: Any) -> Any:
    if job.number == 1:
        raise KeyboardInterrupt
    return pretend(job, report)


def stopping(folder: Path) -> Callable[[Job, Any], Any]:
    def train(job: Job, report: Any) -> Any:
        signals.request_stop(folder, now=True)
        return pretend(job, report)

    return train


def crash(executor: Inline, loop: SearchLoop) -> None:
    loop.next()
    loop.interrupt(Ending.EXECUTOR_CRASHED, WORDS)


def search_to(ending: Ending, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """A search that ends so."""
    few = ending is Ending.EXHAUSTED
    prepare(folder, config(FEW if few else config().space, trials=2 if ending is Ending.COMPLETED else 20))
    execution = Execution(executor="inline", train=pretend)
    if ending is Ending.TIME_IS_UP:
        execution = replace(execution, timeout=-1)
    elif ending is Ending.PLATEAU:
        execution = replace(execution, patience=2)
    elif ending is Ending.TOO_MANY_FAILURES:
        execution = replace(execution, train=raising)
    elif ending is Ending.INTERRUPTED:
        execution = replace(execution, train=interrupting)
    elif ending is Ending.STOPPED:
        execution = replace(execution, train=stopping(folder))
    elif ending is Ending.TAKEN_OVER:
        patch.setattr(FolderLock, "lost", property(lambda lock: True, lambda lock, value: None), raising=False)
    elif ending is Ending.EXECUTOR_CRASHED:
        patch.setattr(Inline, "run", crash)
    try:
        assert engine.search(folder, execution) is ending
    except DcdnasError:
        assert STATUS[ending] != "finished"


STATUS = {
    Ending.COMPLETED: "finished",
    Ending.EXHAUSTED: "finished",
    Ending.PLATEAU: "finished",
    Ending.TIME_IS_UP: "finished",
    Ending.TOO_MANY_FAILURES: "failed",
    Ending.STOPPED: "interrupted",
    Ending.INTERRUPTED: "interrupted",
    Ending.TAKEN_OVER: "interrupted",
    Ending.EXECUTOR_CRASHED: "interrupted",
}


@pytest.mark.parametrize("ending", slow_but(set(Ending) - {Ending.EXHAUSTED}, Ending))
def test_an_ending_is_kept_and_shown_as_what_it_is(ending: Ending, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    search_to(ending, folder, monkeypatch)
    with closing(Store(folder)) as store:
        stored, reason = store.ending()
        assert json.loads(store._db.execute("SELECT value FROM meta WHERE key = 'ending'").fetchone()[0]) == ending.value
    run = load_run(folder)
    assert (stored, run.ending, run.reason, run.status) == (ending, ending, reason, STATUS[ending])
    shown = json.loads(json.dumps(document(run), default=str))
    assert (shown["ending"], shown["reason"], shown["status"]) == (ending.value, reason, STATUS[ending])
    page = unescape(text("run.html", **context.of_run(Still(run))))
    assert f'class="pill {STATUS[ending]}"' in page
    assert (reason.rstrip(".") in page) if reason else ("ended early" not in page)


def test_ten_trainings_that_failed_for_a_full_memory_are_no_finished_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_to(Ending.TOO_MANY_FAILURES, tmp_path / "run", monkeypatch)
    run = load_run(tmp_path / "run")
    assert (run.ended, run.asked, run.counts["failed"]) == (0, 20, 10)
    assert "exhausted" in run.reason
    assert run.status == "failed"


def test_a_session_that_died_does_not_keep_the_ending_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search_to(Ending.TIME_IS_UP, tmp_path / "run", monkeypatch)

    def dying(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(Inline, "run", dying)
    with pytest.raises(SystemExit):
        engine.search(tmp_path / "run", Execution(executor="inline", train=pretend))
    run = load_run(tmp_path / "run")
    assert (run.ending, run.reason, run.status) == (None, "", "interrupted")


@pytest.mark.parametrize("kind", slow_but({FailureKind.RAISED, FailureKind.OUT_OF_MEMORY, FailureKind.DRIVER_DIED}, FailureKind))
def test_a_failure_is_kept_and_shown_as_what_it_is(kind: FailureKind, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepare(folder, config())
    with closing(Store(folder, "w")) as store:
        loop = loop_of(store, config())
        job = loop.next()
        assert isinstance(job, Job)
        loop.end(job, Outcome(None, WORDS, kind))
        assert store._db.execute("SELECT failure, reason FROM trials").fetchall() == [(kind.value, WORDS)]
        lost = kind in (FailureKind.DRIVER_DIED, FailureKind.NODE_LOST)
        assert store._db.execute("SELECT attempts FROM trials").fetchone() == (0 if lost else 1,)
    run = load_run(folder)
    assert [(t.state, t.failure, t.reason) for t in run.trials] == [("failed", kind, WORDS)]
    assert json.loads(json.dumps(run.rows))[0]["failure"] == kind.value
    page = unescape(text("failures.html", **context.of_failures(Still(run))))
    assert kind.value.replace("-", " ") in page
    assert HINTS[kind] in page
    page = unescape(text("trial.html", **context.of_trial(Still(run), run.trials[0])))
    assert f"This training failed: {kind.value.replace('-', ' ')}" in page
    assert HINTS[kind] in page


RAISED = [
    (Diverged("x"), FailureKind.DIVERGED),
    (TrainingTimeout("x"), FailureKind.HUNG),
    (MismatchError("x"), FailureKind.MISMATCH),
    (DataError("x"), FailureKind.DATA),
    (MemoryError("x"), FailureKind.OUT_OF_MEMORY),
    (torch.OutOfMemoryError("x"), FailureKind.OUT_OF_MEMORY),
    (torch.AcceleratorError("x"), FailureKind.DEVICE),
    (RuntimeError(WORDS), FailureKind.RAISED),
    (SystemExit(1), FailureKind.RAISED),
]


@pytest.mark.parametrize(("error", "kind"), RAISED, ids=[type(e).__name__ for e, _ in RAISED])
def test_what_a_training_raised_gives_the_kind_by_its_type(error: BaseException, kind: FailureKind) -> None:
    assert kind_of(error) is failed(error).kind is kind


def test_a_failure_without_a_kind_was_raised_and_a_success_has_none() -> None:
    assert Outcome(None, "it broke").kind is FailureKind.RAISED
    assert Outcome(None).kind is None
