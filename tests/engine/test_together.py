"""One training on two workers of Ray Train: killed, stopped, refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from small_training import TASK, network, small_data

from dcdnas.core.task import TrainingTask
from dcdnas.engine.executors.ray.together import Workers
from dcdnas.errors import DataError, Resumable, TrainingError, UsageError
from dcdnas.training.folder import Row
from dcdnas.training.full import Trained, Watcher, train_seeds

ON_RAY = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # Ray leaves sockets and logs of its own open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),  # of its own settings
]
PARTS = "architecture", "images", "task", "about", "start"
TOGETHER = replace(TASK, epochs=3, batch_size=50, augment="crop-flip", mixup=0.2, ema=0.9)


class Once(Watcher):
    """Does something after the first epoch."""

    def __init__(self, what: str = "") -> None:
        self.what, self.killed, self.epochs = what, list[int](), list[int]()

    def epoch(self, seed: int, rows: Sequence[Row]) -> None:
        self.epochs.append(len(rows))
        if self.what == "kill" and not self.killed:
            self.killed = [workers()[0]]
            os.kill(self.killed[0], signal.SIGKILL)

    def stopping(self) -> bool:
        return self.what == "stop" and bool(self.epochs)


def workers() -> list[int]:
    """Processes below this one that train."""
    parents, found = {}, []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_text().replace("\0", " ")
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if words.startswith("ray::") and "TrainWorker" in words:
                found.append(int(folder.name))
    return [pid for pid in found if is_below(pid, parents)]


def is_below(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != os.getpid():
        pid = parents[pid]
    return pid == os.getpid()


def trained(folder: Path, watcher: Watcher, resume: bool = False, task: TrainingTask = TOGETHER) -> Trained:
    on = Workers(2, folder / "ray.log")
    architecture, data = network().architecture, small_data()
    return train_seeds(architecture, data, task, [0], folder, watcher, resume, run=on.train, workers=2)[0]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained, Once]:
    """Two workers, without anything happening."""
    folder, watcher = tmp_path_factory.mktemp("straight"), Once()
    return folder, trained(folder, watcher), watcher


def equal_to(straight: tuple[Path, Trained, Once], folder: Path) -> None:
    for name in ("last", "best"):
        ours, theirs = (load_file(place / f"seed-0/{name}.safetensors") for place in (folder, straight[0]))
        assert [key for key in theirs if not torch.equal(ours[key], theirs[key])] == []


def on_ray(test: Callable[..., None]) -> Callable[..., None]:
    for mark in ON_RAY:
        test = mark(test)
    return test


@on_ray
def test_two_workers_train_a_network_and_every_epoch_is_said(straight: tuple[Path, Trained, Once]) -> None:
    folder, result, watcher = straight
    assert [r.epoch for r in result.score.curve] == [1, 2, 3]
    assert watcher.epochs[-1] == 3
    assert result.score.values["loss"] < 2.3
    assert sorted(path.name for path in (folder / "seed-0").iterdir()) == ["best.safetensors", "epochs.csv", "last.safetensors"]


@on_ray
def test_a_worker_that_is_killed_costs_the_epoch_and_no_bit(straight: tuple[Path, Trained, Once], tmp_path: Path) -> None:
    watcher = Once("kill")
    trained(tmp_path, watcher)
    assert watcher.killed
    equal_to(straight, tmp_path)


@on_ray
def test_workers_that_are_stopped_go_on_from_their_last_whole_epoch(straight: tuple[Path, Trained, Once], tmp_path: Path) -> None:
    with pytest.raises(Resumable, match=r"the training is saved in .* as after its last whole epoch"):
        trained(tmp_path, Once("stop"), task=replace(TOGETHER, epochs=40))
    rows = (tmp_path / "seed-0/epochs.csv").read_text().splitlines()
    assert 2 <= len(rows) < 40


def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a batch of 33 images cannot be shared by 2 workers.*--set batch_size=32"):
        trained(tmp_path, Watcher(), task=replace(TOGETHER, batch_size=33))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_that_cannot_continue_says_why_and_makes_ray_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    from dcdnas.engine.executors.ray import _train

    errors: list[Exception] = [DataError("a picture is damaged"), TrainingError("the loss is nan")]

    def fails(*given: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(_train, "train_together", fails)
    monkeypatch.setattr(_train.ray, "get", lambda shared: shared)
    monkeypatch.setattr(_train, "get_context", lambda: SimpleNamespace(get_world_rank=lambda: rank))
    config = {"shared": SimpleNamespace(folder=tmp_path, device="cpu", **dict.fromkeys(PARTS)), "plugins": ()}
    with pytest.raises(DataError):
        _train.worker(config)
    assert (tmp_path / _train.FAILED).read_text() == "a picture is damaged"
    _train.worker(config)
    assert len(errors) == 1, "it has trained when Ray started it again"
    (tmp_path / _train.FAILED).unlink()
    _train.worker(config)
    assert (tmp_path / _train.FAILED).exists() == (rank == 0)
