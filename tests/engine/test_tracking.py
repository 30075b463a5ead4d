"""Trackers are told every epoch and every end; one that fails is dropped, and the search goes on."""

from __future__ import annotations

import logging
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from searching import config, loop_of, offer
from tensorboardX.proto.event_pb2 import Event
from trainings import pretend

from dcdnas.core.trial import Score, Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import Execution
from dcdnas.engine.job import Job, Outcome
from dcdnas.engine.prepare import prepare
from dcdnas.engine.progress import Watch
from dcdnas.engine.run import search
from dcdnas.engine.store import Store
from dcdnas.engine.trackers import Tracker, trackers
from dcdnas.errors import MissingPackageError


def searched(folder: Path, *log: str, trials: int = 3) -> list[Trial]:
    prepare(folder, config(trials=trials))
    search(folder, Execution(executor="inline", train=pretend, log=log))
    store = Store(folder)
    try:
        return store.trials()
    finally:
        store.close()


def scalars(folder: Path) -> Iterator[tuple[str, int, float]]:
    """What the event files directly in a folder hold: name, step, value."""
    for path in sorted(folder.glob("events*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack_from("<Q", content)
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            yield from ((value.tag, event.step, value.simple_value) for value in event.summary.value)


def test_tensorboard_gets_every_curve_and_the_search(tmp_path: Path) -> None:
    trials = [t for t in searched(tmp_path / "run", "tensorboard") if t.score and t.score.curve]
    assert len(trials) == 3
    for trial in trials:
        assert trial.score is not None
        found = [(step, value) for tag, step, value in scalars(tmp_path / f"run/tensorboard/trial-{trial.number}")
                 if tag == "trial/accuracy"]  # fmt: skip
        assert dict(found) == pytest.approx({r.epoch: r.values["accuracy"] for r in trial.score.curve})
    volumes = {step: value for tag, step, value in scalars(tmp_path / "run/tensorboard") if tag == "search/hypervolume"}
    assert set(volumes) == {0, 1, 2, 3}
    assert volumes[3] >= volumes[1]


def test_weights_and_biases_gets_one_run_with_every_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    started: list[dict[str, Any]] = []
    ended: list[bool] = []
    run = SimpleNamespace(log=told.append, finish=lambda: ended.append(True))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **kw: started.append(kw) or run))
    trials = searched(tmp_path / "run", "wandb")
    assert [s["name"] for s in started] == ["run"]
    assert ended == [True]
    last = {t["trial/number"]: t["trial/accuracy"] for t in told if "trial/number" in t}
    assert last == {t.number: t.score.values["accuracy"] for t in trials if t.score and t.score.curve}


def test_weights_and_biases_continues_a_run_and_keeps_those_of_one_name_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[str] = []
    run = SimpleNamespace(log=lambda told: None, finish=lambda: None)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **kw: ids.append(kw["id"]) or run))
    searched(tmp_path / "run", "wandb")
    searched(tmp_path / "run", "wandb", trials=4)
    searched(tmp_path / "elsewhere" / "run", "wandb")
    assert ids[0] == ids[1] != ids[2]
    assert all(id.startswith("run-") for id in ids)


def test_mlflow_gets_a_metric_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int]] = []
    ended: list[bool] = []
    fake = SimpleNamespace(
        set_experiment=lambda name: None, start_run=lambda run_name: None, log_params=lambda params: None,
        log_metric=lambda name, value, step: told.append((name, step)), end_run=lambda: ended.append(True),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    searched(tmp_path / "run", "mlflow")
    assert {(f"trial_0_{name}", epoch) for name in ("accuracy", "loss") for epoch in (1, 2, 3)} <= set(told)
    assert ended == [True]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_says_what_to_install(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=rf'--log {name} needs .* pip install "dcdnas\[trackers\]"'):
        searched(tmp_path / "run", name)


def test_a_tracker_that_fails_is_dropped_and_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    class Broken(Tracker):
        def __init__(self, folder: Path, config: SearchConfig) -> None:
            super().__init__(folder, config)

        def trial(self, trial: Trial) -> None:
            calls.append(trial.number)
            raise OSError("no connection")

        def search(self, ended: int, hypervolume: float, best: float | None) -> None:
            calls.append(-ended)

    monkeypatch.setitem(trackers._loaded, "tensorboard", Broken)
    with caplog.at_level(logging.WARNING, "dcdnas"):
        trials = searched(tmp_path / "run", "tensorboard")
    assert sum(t.state == "finished" for t in trials) == 3
    assert len(calls) == 1
    assert "--log tensorboard failed and is off from now on: OSError: no connection" in caplog.text


def test_a_tracker_that_cannot_be_made_is_dropped_too_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    class Offline(Tracker):
        def __init__(self, folder: Path, config: SearchConfig) -> None:
            raise ConnectionError("no server")

        def trial(self, trial: Trial) -> None: ...

        def search(self, ended: int, hypervolume: float, best: float | None) -> None: ...

    class Working(Offline):
        def __init__(self, folder: Path, config: SearchConfig) -> None: ...

        def close(self) -> None:
            told.append("end")

    monkeypatch.setitem(trackers._loaded, "mlflow", Offline)
    monkeypatch.setitem(trackers._loaded, "tensorboard", Working)
    with caplog.at_level(logging.WARNING, "dcdnas"):
        trials = searched(tmp_path / "run", "tensorboard", "mlflow")
    assert sum(t.state == "finished" for t in trials) == 3
    assert told == ["end"]
    assert "--log mlflow failed and is off from now on: ConnectionError: no server" in caplog.text


@pytest.mark.parametrize("error", ["", "it broke"])
def test_the_end_of_a_training_is_told_although_a_proposal_of_the_same_network_waited_for_it(store: Store, error: str) -> None:
    loop = loop_of(store, config(starts=0))
    job = loop.next()
    assert isinstance(job, Job)
    offer(loop, loop.trials[0].decisions)
    assert isinstance(loop.next(), Job)
    watch = Watch(loop, {})
    seen: list[Trial | None] = []
    loop.observe = lambda: seen.append(watch.look().latest)
    loop.end(job, Outcome(Score({"accuracy": 0.7, "loss": 1.0}, 3, 2.0), error))
    assert any(t.state in ("replayed", "refused") and "the same network as trial 0" in t.reason for t in loop.trials.values())
    assert seen == [loop.trials[0]]
    assert loop.trials[0].state == ("failed" if error else "finished")
