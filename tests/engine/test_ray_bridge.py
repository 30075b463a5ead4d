"""What goes from a Ray worker through Tune to the search, without a Ray: it arrives as it was reported."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from searching import config, loop_of
from trainings import learn, pretend, quality

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, FailureKind, Score
from dcdnas.engine.execution import Execution
from dcdnas.engine.job import Job
from dcdnas.engine.loop import SearchLoop
from dcdnas.engine.proxy_training import Reporter, Train
from dcdnas.engine.store import Store
from dcdnas.errors import UsageError
from dcdnas.tasks import Objective

PAIR = (Objective("auc", "maximize", 0.5, 1.0), Objective("rmse", "minimize", 2.0, 0.0))


def through_tune(loop: SearchLoop, train: Train, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Trains the next job as a worker does, and gives the loop what Tune makes of its results."""
    from ray.tune.utils import flatten_dict

    from dcdnas.engine.executors.ray import _worker
    from dcdnas.engine.executors.ray._bridge import Bridge

    bridge, results = Bridge(loop, room=lambda: 9), [{}]
    suggested = bridge.suggest("one")
    assert isinstance(suggested, dict)

    def report(result: Mapping[str, Any]) -> None:
        results.append(flatten_dict(dict(result)))
        bridge.report("one", results[-1])

    monkeypatch.setattr(_worker.tune, "report", report)
    _worker.trainable(suggested, train, None)
    bridge.end("one", results[-1], failed=False)
    assert bridge.error is None
    return _worker.job_from_text(suggested["job"])


def test_no_more_are_asked_for_than_there_is_room_for(store: Store) -> None:
    from dcdnas.engine.executors.ray._bridge import Bridge

    room = [1]
    bridge = Bridge(loop_of(store, config(trials=9)), room=lambda: room[0])
    assert isinstance(bridge.suggest("one"), dict)
    assert bridge.suggest("two") is None, "one machine of one core"
    room[0] = 2
    assert isinstance(bridge.suggest("two"), dict), "another one has joined"
    room[0] = 1
    bridge.end("one", {}, failed=True)
    assert bridge.suggest("three") is None, "and left"


def test_a_tune_that_was_given_up_changes_nothing_any_more(store: Store) -> None:
    from dcdnas.engine.executors.ray._bridge import Bridge

    loop = loop_of(store, config(trials=9))
    bridge = Bridge(loop, room=lambda: 9)
    bridge.suggest("one")
    before = dict(loop.trials)
    bridge.close()
    assert bridge.suggest("two") == "FINISHED"
    bridge.end("one", {}, failed=True)
    assert dict(loop.trials) == before
    assert bridge.over


def two(job: Job, report: Reporter) -> Score:
    """Reports two objectives."""
    curve = tuple(EpochResult(e, {"auc": 0.5 + 0.1 * e, "rmse": 1.0 / e}, 0.5 * e) for e in range(1, job.task.epochs + 1))
    assert all(report(reached) for reached in curve)
    return Score(curve[-1].values, job.task.epochs, curve[-1].seconds, curve)


def otherwise(job: Job, report: Reporter) -> Score:
    """Returns another score than the last report's."""
    return Score({"auc": 0.9, "rmse": 0.1}, job.task.epochs, 7.0, two(job, report).curve)


def silent(job: Job, report: Reporter) -> Score:
    """Reports nothing on the way."""
    return Score({"auc": 0.9, "rmse": 0.1}, job.task.epochs, 7.0)


@pytest.mark.parametrize("train", [two, otherwise, silent])
def test_every_report_and_the_score_arrive_as_the_training_gave_them(
    store: Store, monkeypatch: pytest.MonkeyPatch, train: Train
) -> None:
    loop = loop_of(store, config(objectives=PAIR))
    job = through_tune(loop, train, monkeypatch)
    trial = loop.trials[job.number]
    assert (trial.state, trial.score) == ("finished", train(job, lambda _: True))


def test_the_reports_of_a_classification_arrive_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = loop_of(store, config())
    job = through_tune(loop, pretend, monkeypatch)
    assert loop.trials[job.number].score == learn(job, lambda _: True, quality(job))


def test_what_a_training_raises_arrives_with_its_kind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(job: Job, report: Reporter) -> Score:
        report(EpochResult(1, {"accuracy": 0.3, "loss": 1.0}, 0.5))
        raise MemoryError("no more")

    loop = loop_of(store, config())
    trial = loop.trials[through_tune(loop, broken, monkeypatch).number]
    assert (trial.state, trial.failure) == ("failed", FailureKind.OUT_OF_MEMORY)
    assert "no more" in trial.reason


def cause(**told: Any) -> Any:
    from ray.core.generated.common_pb2 import ActorDeathCause  # type: ignore[attr-defined]

    return ActorDeathCause(**told)


ACTOR = "6f09b0cbd4eed66f1c3a1e4701000000"

DIED = (
    f"Failure # 1\nThe actor died unexpectedly.\n\tclass_name: ImplicitFunc\n\tactor_id: {ACTOR}\n\tpid: 7\nThe worker is gone.\n"
)


@pytest.mark.parametrize(
    ("told", "state", "machine", "kind"),
    [
        ({"actor_died_error_context": {"reason": "WORKER_DIED"}}, "DEAD", "here", FailureKind.CRASHED),
        ({"actor_died_error_context": {"reason": "NODE_DIED"}}, "DEAD", "here", FailureKind.NODE_LOST),
        ({"actor_died_error_context": {"reason": "WORKER_DIED"}}, "DEAD", "gone", FailureKind.NODE_LOST),
        ({"oom_context": {"error_message": "x"}}, "DEAD", "here", FailureKind.OUT_OF_MEMORY),
        ({}, "ALIVE", "here", None),
    ],
)
def test_what_ended_a_worker_is_told_apart_by_what_the_cluster_has_written_down(
    store: Store, monkeypatch: pytest.MonkeyPatch, told: Any, state: str, machine: str, kind: FailureKind | None
) -> None:
    import ray

    from dcdnas.engine.executors.ray import _cluster
    from dcdnas.engine.executors.ray._bridge import DEATHS, Bridge

    found = {ACTOR: {"DeathCause": cause(**told), "Address": {"NodeID": machine}, "State": state}}
    monkeypatch.setattr(ray._private.state, "actors", lambda worker: found[worker])
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "here", "Alive": True}, {"NodeID": "gone", "Alive": False}])
    monkeypatch.setattr(_cluster, "SETTLING", 0.0)
    loop = loop_of(store, config())
    bridge = Bridge(loop, room=lambda: 9)
    bridge.suggest("one")
    bridge.died("one", DIED)
    bridge.end("one", None, failed=True)
    trial = loop.trials[0]
    if kind is FailureKind.NODE_LOST:
        assert (trial.state, trial.failure, trial.lost, trial.reason) == ("interrupted", None, 1, DEATHS[kind])
    elif kind:
        assert (trial.state, trial.failure, trial.lost, trial.reason) == ("failed", kind, 0, DEATHS[kind])
    else:
        assert (trial.state, trial.failure, trial.reason) == ("failed", FailureKind.RAISED, "The worker is gone.")


@pytest.mark.parametrize(("begun", "kind"), [(True, FailureKind.HUNG), (False, FailureKind.CRASHED)])
def test_only_a_worker_s_time_and_not_the_wait_for_it_counts_towards_the_deadline(
    store: Store, begun: bool, kind: FailureKind
) -> None:
    from dcdnas.engine.executors.ray._bridge import Bridge

    loop = loop_of(store, config(task=TrainingTask(epochs=3, deadline=1e-9)))
    bridge = Bridge(loop, room=lambda: 9)
    bridge.suggest("one")
    if begun:
        bridge.begun("one")
    time.sleep(0.001)
    bridge.end("one", None, failed=True)
    assert loop.trials[0].failure is kind


def test_a_worker_of_which_the_cluster_knows_nothing_has_crashed(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from dcdnas.engine.executors.ray._cluster import cause_of_death

    monkeypatch.setattr(ray._private.state, "actors", lambda worker: {})
    assert cause_of_death(ACTOR) is cause_of_death("") is FailureKind.CRASHED


def resources_of(*machines: tuple[float, float]) -> list[dict[str, Any]]:
    """What Ray says of a cluster: machines with so many cores and GPUs, and one that has left."""
    here = [{"Alive": True, "Resources": {"CPU": cores} | ({"GPU": gpus} if gpus else {})} for cores, gpus in machines]
    return [*here, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]


@pytest.mark.parametrize(
    ("machines", "cores", "gpus", "fit"),
    [
        ([(3.0, 0.0), (3.0, 0.0)], 1.0, 0.0, 6),
        ([(3.0, 0.0), (3.0, 0.0)], 2.0, 0.0, 2),
        ([(0.0, 0.0), (8.0, 0.0)], 4.0, 0.0, 2),
        ([(8.0, 1.0), (8.0, 1.0)], 1.0, 1.0, 2),
        ([(8.0, 2.0)], 1.0, 0.4, 4),
        ([(8.0, 0.0), (2.0, 4.0)], 1.0, 1.0, 2),
    ],
)
def test_the_room_of_a_cluster_is_counted_machine_by_machine(
    monkeypatch: pytest.MonkeyPatch, machines: list[tuple[float, float]], cores: float, gpus: float, fit: int
) -> None:
    import ray

    from dcdnas.engine.executors.ray._tune import Room

    monkeypatch.setattr(ray, "nodes", lambda: resources_of(*machines))
    room = Room(Execution(cpus_per_trial=cores, gpus_per_trial=gpus))
    room.check()
    assert room() == fit


@pytest.mark.parametrize(("cores", "gpus"), [(4.0, 0.0), (1.0, 2.0)])
def test_a_training_that_fits_only_into_several_machines_is_refused_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, cores: float, gpus: float
) -> None:
    import ray

    from dcdnas.engine.executors.ray._tune import Room

    monkeypatch.setattr(ray, "nodes", lambda: resources_of((2.0, 1.0), (2.0, 1.0)))
    with pytest.raises(UsageError, match=rf"needs {cores:g} CPUs and {gpus:g} GPUs, which no machine .* the largest has 2 and 1"):
        Room(Execution(cpus_per_trial=cores, gpus_per_trial=gpus)).check()
