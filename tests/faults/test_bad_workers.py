"""A training may do to its process what it likes: it costs that training only, and the search says what it was."""

from __future__ import annotations

from typing import Any

import pytest
from bad_trainings import EVERYTHING, HANGING, HARMLESS, KINDS, Bad
from searching import config, execute, loop_of

from dcdnas.core.task import TrainingTask
from dcdnas.engine import loop as engine_loop
from dcdnas.engine.executors import executors, local
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.store import Store

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray leaves sockets and logs of its own open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, found by the collector
]

SHORT = (
    "exit 0",
    "SIGSEGV",
    "dies with a child",
    "BaseException",
    "wordless",
    "strange characters",
    "closes all",
    "prints bytes",
)
"""A selection for every day."""

QUICK = tuple(kind for kind in EVERYTHING if kind not in HANGING)
"""Those that need no deadline to pass."""


def searched(store: Store, executor: str, kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, jobs: int = 2) -> SearchLoop:
    """A search in which each of the kinds happens once, and six trainings are as they should be."""
    monkeypatch.setattr(engine_loop, "FAILURES", len(kinds) + 1)
    monkeypatch.setattr("dcdnas.engine.executors._deadline.GRACE", 2.0)
    monkeypatch.setattr(local, "LATE", 1.0)
    task = TrainingTask(epochs=3, deadline=4.0 if set(kinds) & set(HANGING) else 120.0)
    good = 6 + sum(kind in HARMLESS for kind in kinds)
    loop = loop_of(store, config(trials=good, budget=(), task=task, starts=60))
    return execute(loop, Bad(kinds), executors[executor], jobs=jobs)


def check(loop: SearchLoop, kinds: tuple[str, ...]) -> None:
    """What each training came to."""
    said: dict[str, Any] = {kind: loop.trials[1 + i] for i, kind in enumerate(kinds)}
    for kind, trial in said.items():
        print(f"{kind:22}{trial.state:10}{trial.failure or '':15}{trial.reason[:90]!r}")
    wrong = {
        kind: (trial.state, trial.failure)
        for kind, trial in said.items()
        if (trial.failure not in KINDS[kind][1] if kind in KINDS else trial.state != "finished")
    }
    assert not wrong
    assert loop.ended == len([t for t in loop.trials.values() if t.state == "finished"]) == loop.config.trials
    assert set(loop.store.counts()) <= {"finished", "failed"}


def test_a_bad_training_costs_itself_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    check(searched(store, "local", SHORT, monkeypatch), SHORT)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kinds", [QUICK, HANGING], ids=["quick", "hanging"])
def test_every_bad_training_costs_itself_only_under_local(
    store: Store, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...]
) -> None:
    check(searched(store, "local", kinds, monkeypatch), kinds)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kinds", [QUICK, HANGING[1:]], ids=["quick", "hanging"])
def test_every_bad_training_costs_itself_only_under_ray(
    cluster: None, store: Store, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...]
) -> None:
    """But for a process that is stopped: it cannot end itself, and Ray waits for it."""
    check(searched(store, "ray", kinds, monkeypatch), kinds)
