"""The Ray executor: the same search under Ray Tune, on one Ray of two cores and a pretended GPU for the whole file."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trainings
from driver import driver
from searching import by_state, config, execute, loop_of, memory
from trainings import pretend

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending, FailureKind
from dcdnas.data import Split, load, split
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.ray import Ray
from dcdnas.engine.prepare import prepare
from dcdnas.engine.run import search
from dcdnas.engine.signals import Wish
from dcdnas.engine.store import Store
from dcdnas.errors import UsageError

pytestmark = [
    pytest.mark.slow,  # `make test` has one search on Ray, with all executors
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray leaves sockets and logs of its own open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, found by the collector
]


def test_what_ray_says_goes_to_the_log(cluster: None, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    loop = execute(loop_of(store, config(trials=2)), trainings.Faulty(("exit",)), Ray, jobs=1)
    assert [t.number for t in by_state(loop, "failed")] == [1]
    assert "Trial task failed" in store.path.with_name("workers.log").read_text()
    assert capfd.readouterr() == ("", "")


def test_a_training_that_hangs_is_ended_after_its_deadline(cluster: None, store: Store, tmp_path: Path) -> None:
    task = TrainingTask(epochs=3, deadline=0.5)
    loop = execute(loop_of(store, config(trials=3, task=task)), trainings.stuck, Ray, jobs=2)
    assert loop.ended == 3
    said = (1, FailureKind.HUNG, "hung: no end after its deadline of 0 s")
    assert [(t.number, t.failure, t.reason) for t in by_state(loop, "failed")] == [said]


def test_half_a_gpu_each_lets_two_train_at_one_time(cluster: None, store: Store, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    train = trainings.Noting(str(notes))
    loop = execute(loop_of(store, config(trials=6)), train, Ray, jobs=0, gpus_per_trial=0.5, cpus_per_trial=0.5)
    seen = [json.loads(p.read_text()) for p in sorted(notes.glob("*.json"))]
    assert loop.ended == len(seen) == 6
    assert {note["gpus"] for note in seen} == {"0"}, "the one GPU that there is"
    assert most_at_once(seen) == 2


def most_at_once(seen: list[dict[str, Any]]) -> int:
    moments = sorted([(n["began"], 1) for n in seen] + [(n["ended"], -1) for n in seen])
    now, most = 0, 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def test_more_gpu_than_there_is_is_refused_with_both_numbers(cluster: None, store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs 1 CPUs and 2 GPUs, but Ray has 2 and 1"):
        execute(loop_of(store, config()), pretend, Ray, jobs=2, gpus_per_trial=2.0)


def test_the_images_are_shared_without_a_copy(cluster: None, tmp_path: Path) -> None:
    """A worker sees the object store's own, read-only memory; nothing that trains writes to it."""
    import ray

    images = split(load("fashion-mini"))
    before = [images.train.pixels.clone(), images.train.labels.clone()]

    @ray.remote
    def look(given: Split) -> tuple[str, str]:
        pointer = given.train.pixels.data_ptr()
        maps = Path("/proc/self/maps").read_text().splitlines()
        regions = [line.split() for line in maps]
        for region in regions:
            low, high = (int(end, 16) for end in region[0].split("-"))
            if low <= pointer < high:
                return " ".join(region[5:]), region[1]
        return "", ""

    where, rights = ray.get(look.remote(ray.put(images)))
    assert "plasma" in where or "/dev/shm" in where
    assert "s" in rights, "shared, not a private copy"
    assert (images.train.pixels == before[0]).all()
    assert (images.train.labels == before[1]).all()


def test_real_trainings_in_reused_actors_repeat_their_scores(cluster: None, tmp_path: Path) -> None:
    images = load("fashion-mini").pixels[:400].numpy()
    np.savez(tmp_path / "few.npz", x_train=images, y_train=np.arange(400) % 10)
    c = config(trials=2, task=TrainingTask(data=f"npz:{tmp_path / 'few.npz'}", epochs=1, batch_size=32))
    scores = []
    for name in ("a", "b"):
        with closing(memory(tmp_path / name)) as store:
            loop = execute(loop_of(store, c), None, Ray, jobs=1)
            scores.append([(t.score.values["accuracy"], t.score.values["loss"]) for t in by_state(loop, "finished") if t.score])
    with closing(memory(tmp_path / "inline")) as store:
        loop = execute(loop_of(store, c), None)
        scores.append([(t.score.values["accuracy"], t.score.values["loss"]) for t in by_state(loop, "finished") if t.score])
    assert scores[0] == scores[1] == scores[2]
    assert len(scores[0]) == 2


def test_a_wish_is_granted_though_nothing_reports(cluster: None, store: Store, tmp_path: Path) -> None:
    """A training that says nothing for long must not keep the search from ending."""
    wish = [Wish()]
    loop = loop_of(store, config(trials=3), control=lambda: wish[0])
    loop.observe = lambda: threading.Timer(1.0, lambda: wish.__setitem__(0, Wish(Ending.STOPPED, now=True))).start()
    execute(loop, trainings.endless, Ray, jobs=1)
    assert set(store.counts()) == {"interrupted"}


@pytest.mark.parametrize("times", [1, 2])
def test_a_crash_of_ray_asks_again_what_was_running(
    cluster: None, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """As when Ray's monitor kills a worker for memory: Tune's driver raises out of `fit`."""
    from dcdnas.engine.executors.ray import _tune

    fit, crashes = _tune.fit, []

    def crashing(bridge: Any, execution: Execution, folder: Path) -> None:
        if len(crashes) < times:
            job = bridge.loop.next()
            crashes.append(job)
            raise RuntimeError("Caught unexpected exception")
        fit(bridge, execution, folder)

    monkeypatch.setattr(_tune, "fit", crashing)
    loop = execute(loop_of(store, config(trials=4)), pretend, Ray, jobs=2)
    assert loop.ended == len(by_state(loop, "finished")) == 4
    assert [job.number for job in crashes] == [0] * times
    assert loop.trials[0].lost == times


def test_a_ray_that_crashes_without_cause_is_given_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: None
) -> None:
    from dcdnas.engine.executors.ray import _tune

    def crashing(*_: Any) -> None:
        raise RuntimeError("no reason")

    monkeypatch.setattr(_tune, "fit", crashing)
    loop = execute(loop_of(store, config()), pretend, Ray, jobs=2)
    assert loop.ending is Ending.EXECUTOR_CRASHED
    assert loop.reason == "Ray crashed 4 times, at last with: RuntimeError: no reason"


def test_many_trainings_that_are_stopped_early_leave_their_workers_usable(cluster: None, store: Store, tmp_path: Path) -> None:
    loop = execute(loop_of(store, config(trials=30, early_stopping=True)), pretend, Ray, jobs=2)
    assert loop.ended == 30
    assert len(by_state(loop, "stopped")) > 3
    assert not by_state(loop, "failed", "interrupted", "running")
    log = tmp_path / "workers.log"
    assert not log.exists() or "re-use" not in log.read_text()


def test_a_job_that_tune_drops_without_a_word_is_asked_again(cluster: None, store: Store, tmp_path: Path) -> None:
    """As it does when the thread of the training before does not end in time."""
    loop = execute(loop_of(store, config(trials=12, early_stopping=True)), trainings.lingering, Ray, jobs=2)
    assert "Could not re-use actor" in (tmp_path / "workers.log").read_text()
    assert loop.ended == 12
    assert by_state(loop, "stopped")
    assert not by_state(loop, "running", "interrupted", "failed")
    assert any(t.lost for t in loop.trials.values())


def test_an_address_without_a_cluster_is_said(cluster: None, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcdnas.engine.executors.ray import _tune

    monkeypatch.setattr(_tune.ray, "is_initialized", lambda: False)

    def init(**settings: Any) -> None:
        raise ConnectionError(f"nobody at {settings['address']}")

    monkeypatch.setattr(_tune.ray, "init", init)
    with pytest.raises(UsageError, match=r"no Ray cluster at 192.0.2.1:1.*--executor local"):
        execute(loop_of(store, config()), pretend, Ray, jobs=2, address="192.0.2.1:1")


def test_a_cluster_that_the_environment_names_is_not_joined(cluster: None, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcdnas.engine.executors.ray import _tune

    asked: list[dict[str, Any]] = []

    def init(**settings: Any) -> None:
        asked.append(settings)
        raise ConnectionError

    monkeypatch.setattr(_tune.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(_tune.ray, "init", init)
    with pytest.raises(UsageError, match="Ray cannot be started"):
        execute(loop_of(store, config()), pretend, Ray, jobs=2)
    assert (asked[0]["address"], asked[0]["include_dashboard"]) == ("local", False)


# With a Ray of its own


def ray_processes(session: int) -> list[int]:
    """Processes of a driver's session that are Ray's."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_with_a_ray_of_its_own_that_is_ended_loses_nothing(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    prepare(tmp_path / "run", config(trials=7))
    with driver(tmp_path / "run", "slow", "ray") as process:
        process.wait_for(2)
        time.sleep(random.uniform(0, 1))
        os.kill(process.pid, number)
        code, out, errors = process.end()
        assert errors == ""
        if number == signal.SIGINT:
            assert code == 3
            assert "error: interrupted: " in out
        with closing(Store(tmp_path / "run")) as store:
            kept = [t for t in store.trials() if t.state == "finished"]
        assert len(kept) >= 2
        until = time.monotonic() + 180  # some of Ray's own agents take a minute to notice
        while ray_processes(process.pid) and time.monotonic() < until:
            time.sleep(0.2)
        assert ray_processes(process.pid) == []
    assert search(tmp_path / "run", Execution(executor="inline", train=pretend)) is Ending.COMPLETED
    with closing(Store(tmp_path / "run")) as store:
        after = {t.number: t for t in store.trials()}
        assert [after[t.number] for t in kept] == kept
        assert store.counts()["finished"] == 7
        assert "running" not in store.counts()
