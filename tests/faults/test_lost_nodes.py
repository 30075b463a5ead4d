"""A machine of a Ray cluster that goes down: what it was training is trained again elsewhere, and nothing is blamed on memory."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trainings
from commands import write_project
from fixtures import environment_of_ray
from searching import by_state, config, execute, loop_of

from dcdnas.engine.executors.ray import Ray
from dcdnas.engine.store import Store
from dcdnas.results import load_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray leaves sockets and logs of its own open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, found by the collector
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@contextmanager
def cluster_of(monkeypatch: pytest.MonkeyPatch, head: int = 0, machines: int = 0, joined: bool = True) -> Iterator[Any]:
    """A cluster of a head with so many cores, and machines of one core each; this process is connected to it where `joined`."""
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    with environment_of_ray():
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": head, "include_dashboard": False})
        nodes = [cluster.add_node(num_cpus=1) for _ in range(machines)]
        if joined:
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster, nodes
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a head that trains nothing and two machines of one core each."""
    with cluster_of(monkeypatch, machines=2) as found:
        yield found


def test_what_a_lost_machine_was_training_is_trained_again(store: Store, machines: Any) -> None:
    cluster, nodes = machines
    loop = loop_of(store, config(trials=6))
    lost: list[threading.Thread] = []

    def lose() -> None:
        cluster.remove_node(nodes[0], allow_graceful=False)

    def look() -> None:
        latest = loop.standing.latest
        if not lost and loop.ended >= 2 and len(loop.running) == 2 and latest is not None and latest.score:
            lost.append(threading.Thread(target=lose))
            lost[0].start()

    loop.observe = look
    execute(loop, trainings.lasting, Ray, jobs=2)
    lost[0].join()
    assert loop.ended == len(by_state(loop, "finished")) == 6
    assert not by_state(loop, "failed", "interrupted", "running")
    assert sum(t.lost for t in loop.trials.values()) == 1


def test_a_machine_that_joins_is_used(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with cluster_of(monkeypatch, machines=1) as (cluster, _):
        from ray._private.node import Node

        monkeypatch.setattr(Node, "_register_shutdown_hooks", lambda self: None)  # of signals, which the main thread alone may do
        loop = loop_of(store, config(trials=8))
        joined, most = [], [0]

        def look() -> None:
            most[0] = max(most[0], len(loop.running))
            if not joined and loop.ended >= 1:
                assert most[0] == 1
                joined.append(cluster.add_node(num_cpus=1))

        loop.observe = look
        execute(loop, trainings.lasting, Ray, jobs=0)
        assert len(by_state(loop, "finished")) == 8
        assert most[0] == 2


def test_a_search_whose_cluster_loses_its_head_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself ends the process after a minute, with exit code 1 and a message about C++."""
    write_project(tmp_path)
    words = "search tiny.yaml -b 0.3MFLOPs -n 14 --epochs 30 --confirm 0 --no-early-stopping --name lost --executor ray --address"
    with cluster_of(monkeypatch, head=2, joined=False) as (cluster, _):
        driver = subprocess.Popen(
            [sys.executable, "-m", "dcdnas", *words.split(), cluster.address],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            while driver.poll() is None and not finished(tmp_path / "runs" / "lost"):
                time.sleep(1)
            cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
            said = driver.communicate(timeout=300)[1]
        finally:
            driver.kill()
    assert driver.returncode == 3, said
    assert "the head of the Ray cluster" in said
    assert "Continue with: dcdnas resume lost" in said
    run = load_run(tmp_path / "runs" / "lost")
    assert run.status == "interrupted"
    assert {trial.state for trial in run.trials} == {"finished", "interrupted"}


def finished(folder: Path) -> int:
    """How many trainings of a run have finished; none where it has not begun."""
    return load_run(folder).counts.get("finished", 0) if (folder / "run.db").exists() else 0
