"""A machine of a Ray cluster that goes down: what it was training is trained again elsewhere, and nothing is blamed on memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trainings
from fixtures import environment_of_ray
from searching import by_state, config, execute, loop_of

from dcdnas.engine.executors.ray import Ray
from dcdnas.engine.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray leaves sockets and logs of its own open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, found by the collector
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a head that trains nothing and two machines of one core each."""
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    with environment_of_ray():
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster, nodes
        ray.shutdown()
        cluster.shutdown()


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
