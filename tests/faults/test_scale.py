"""Many trials, many workers, many who look: costs that stay as they are, and nothing that is lost."""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from searching import config, memory
from serving import started
from trainings import pretend
from written_runs import trial, write_run

from dcdnas.core.trial import Ending, Trial
from dcdnas.engine.execution import Execution
from dcdnas.engine.prepare import prepare
from dcdnas.engine.run import search
from dcdnas.engine.store import Store
from dcdnas.results import load_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MANY = 20_000


def one(number: int) -> Trial:
    """A trial of a network of its own, as far as its identity says."""
    return replace(trial(1, 0.3, 20.0 + number), number=number, deployed=str(number), ended=float(number))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of very many trials, written as a driver writes them, a transaction each."""
    folder = tmp_path_factory.mktemp("large")
    with closing(memory(folder)) as store:
        cost = [_processor(lambda n=n: [store.add(one(n + k)) for k in range(1000)]) for n in range(0, MANY, 1000)]
    assert median(cost[-5:]) < 2 * median(cost[:5]), cost
    return folder


def _processor(work: Any) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def test_a_trial_costs_the_same_after_very_many(large: Path) -> None:
    with closing(Store(large)) as store:
        assert store.counts() == {"finished": MANY}


def test_opening_takes_a_few_statements_and_memory_in_proportion(large: Path) -> None:
    said: list[str] = []
    with closing(Store(large)) as store:
        store._db.set_trace_callback(said.append)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        trials = store.trials(curves=False)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(trials) == MANY
    assert len([s for s in said if s.startswith("SELECT")]) == 1
    assert grown * 1024 < 20_000 * MANY


def test_no_network_is_read_to_open_a_run(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcdnas.core.architecture import Architecture

    def never(*_: Any, **__: Any) -> Architecture:
        raise AssertionError("a network was read")

    monkeypatch.setattr(Architecture, "from_dict", staticmethod(never))
    with closing(Store(large)) as store:
        assert store.trials()[-1].architecture.operator_names


def test_sixteen_local_workers_lose_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "run", config(trials=48))
    assert search(tmp_path / "run", Execution(executor="local", jobs=16, train=pretend)) is Ending.COMPLETED
    run = load_run(tmp_path / "run")
    assert (run.ended, run.problems) == (48, ())
    assert len({t.deployed for t in run.trials if t.state == "finished"}) == 48


def test_fifty_who_look_cost_a_search_nothing(tmp_path: Path) -> None:
    """The driver writes on, waits for nobody, and each page is whole; what the pages cost is the server's."""
    folder = write_run(tmp_path / "runs" / "run", [one(n) for n in range(50)])
    over, answers, lock = threading.Event(), [], threading.Lock()
    for site in started(tmp_path / "runs"):

        def look(site: Any = site) -> None:
            while not over.is_set():
                status = [site.get(path).status for path in ("/runs/run", "/runs/run/trials.json", "/")]
                with lock:
                    answers.extend(status)

        clients = [threading.Thread(target=look) for _ in range(50)]
        for client in clients:
            client.start()
        with closing(Store(folder, "w")) as store:
            store._db.execute("PRAGMA busy_timeout = 60000")
            for n in range(50, 150):
                store.add(one(n))
        over.set()
        for client in clients:
            client.join(300)
    assert len(answers) >= 150
    assert set(answers) == {200}
    with closing(sqlite3.connect(folder / "run.db")) as db:
        assert db.execute("SELECT COUNT(*) FROM trials").fetchone() == (150,)
