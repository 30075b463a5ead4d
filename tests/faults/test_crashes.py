"""A driver that is ended at random moments, by every kind of signal: nothing that ended is lost, and the run is the whole one."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driver import driver
from searching import config, plain
from trainings import pretend

from dcdnas.core.lock import live_driver
from dcdnas.core.trial import Ending, Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.prepare import prepare
from dcdnas.engine.run import search
from dcdnas.engine.store import Store

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray leaves sockets and logs of its own open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, found by the collector
]

SIGNALS = ("KILL", "TERM", "INT", "HUP", "QUIT", "ABRT", "SEGV", "BUS", "USR1", "ALRM", "XCPU")
"""Each ends a process that does nothing about it."""

MOST = 2
"""Deaths of one training after which the next one waits until it has ended: from the fourth on a training is put off."""


def content(folder: Path) -> tuple[list[Trial], list[Any]]:
    with closing(Store(folder)) as store:
        return store.trials(), store.confirmations()


def records(folder: Path) -> tuple[list[Trial], list[Any]]:
    """All that is written but moments, and how often what was lost."""
    trials, confirmations = content(folder)
    return [replace(t, lost=0) for t in plain(trials)], confirmations


def whole(folder: Path, c: SearchConfig) -> None:
    """The same search without an interruption."""
    prepare(folder, c)
    assert search(folder, Execution(executor="inline", train=pretend)) is Ending.COMPLETED


def killed(folder: Path, executor: str, kills: int, rng: random.Random) -> Counter[str]:
    """Ends the driver of a search up to so often; what had ended before is as it was.

    Args:
        folder: of a run.
        executor: of its trainings, one at a time.
        kills: how often; less often if the search reaches its end, as on a machine where the test waits and the driver does not.
        rng: chooses moments, signals and whether workers are sent the same signal.
    """
    said: Counter[str] = Counter()
    ended: dict[int, Trial] = {}
    confirmed: list[Any] = []
    for n in range(kills):
        with driver(folder, "brief", executor, jobs=1) as process:
            for _ in range(rng.randint(1, 11)):
                process.lines.readline()
            time.sleep(rng.uniform(0, 0.1) if rng.random() < 0.5 else rng.uniform(0, 0.005))
            if any(t.lost >= MOST for t in content(folder)[0] if t.state == "running"):
                time.sleep(0.3)
            name = SIGNALS[n % len(SIGNALS)]
            group = executor == "local" and rng.random() < 0.5
            (os.killpg if group else os.kill)(process.pid, getattr(signal, f"SIG{name}"))
            code, _, _ = process.end()
        if code == 0:
            break
        said[f"{name}{' to all' if group else ''} {code}"] += 1
        assert live_driver(folder) is None
        trials, confirmations = content(folder)
        now = {t.number: t for t in trials}
        assert {number: now[number] for number in ended} == ended
        assert [c for c in confirmations if c in confirmed] == confirmed
        ended, confirmed = {t.number: t for t in trials if t.state not in ("running", "interrupted")}, confirmations
    return said


def crashed(folder: Path, executor: str, kills: int, trials: int) -> None:
    """A search that is ended so often, or several that are so often in all, is the one that is not."""
    seed = time.time_ns()
    rng = random.Random(seed)
    c = config(sampler="evolution", trials=trials, early_stopping=True, confirm=1)
    whole(folder / "whole", c)
    said: Counter[str] = Counter()
    while said.total() < kills:
        run = folder / f"run after {said.total()}"
        prepare(run, c)
        here = killed(run, executor, kills - said.total(), rng)
        assert here, "it has reached its end before it could be ended"
        said += here
        lost = Counter(t.lost for t in content(run)[0])
        assert search(run, Execution(executor="inline", train=pretend)) is Ending.COMPLETED
        print(f"{executor}, seed {seed}: {here.total()} ends, {dict(here)}; trainings by times lost: {dict(lost)}")
        assert records(run) == records(folder / "whole")


@pytest.mark.parametrize("executor", [pytest.param("inline", marks=pytest.mark.slow), "local"])
def test_a_search_that_is_ended_at_random_moments_is_the_whole_one(tmp_path: Path, executor: str) -> None:
    crashed(tmp_path, executor, 2, trials=40)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_search_that_is_ended_at_very_many_random_moments_is_the_whole_one(tmp_path: Path, executor: str) -> None:
    crashed(tmp_path, executor, 55, trials=500)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_search_on_a_ray_of_its_own_that_is_ended_at_random_moments_is_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [str(Path(__file__).parents[1] / "engine"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
    crashed(tmp_path, "ray", 10, trials=120)
