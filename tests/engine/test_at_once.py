"""Several trainings at one time as trials of Ray: the bits of one after the other, with workers killed, stopped and failing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_training import TASK, network, small_data
from test_together import is_below, on_ray

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.data import split
from dcdnas.engine.executors.ray.at_once import Trial, train_at_once
from dcdnas.errors import Resumable, TrainingError
from dcdnas.training.folder import Row, TrainingFolder
from dcdnas.training.full import VALIDATION, Watcher, images_for, prepared, train_seeds
from dcdnas.training.starting import FRESH

NAMES = ("first", "second")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TrainingTask:
    """On images that every worker can read."""
    file, some = tmp_path_factory.mktemp("data") / "some.npz", small_data().train
    pixels, labels = some.batch(torch.arange(len(some)))
    np.savez(
        file,
        **{f"{part}_{what}": x.numpy() for part in ("train", "test") for what, x in (("images", pixels), ("labels", labels))},
    )
    return replace(TASK, data=f"npz:{file}", epochs=3, batch_size=50, augment="crop-flip", mixup=0.2, ema=0.9)


def architectures() -> list[Architecture]:
    """Two networks of different sizes."""
    one = network().architecture
    return [one, replace(one, settings={**one.settings, "channels": (8, 24)})]


def train(
    folder: Path,
    task: TrainingTask,
    resume: bool = False,
    said: Callable[[Trial, Sequence[Row]], None] = lambda trial, rows: None,
    stopping: Callable[[], bool] = lambda: False,
    second: TrainingTask | None = None,
) -> None:
    with ExitStack() as held:
        trials = []
        for name, found, its in zip(NAMES, architectures(), (task, second or task), strict=True):
            images = split(images_for(found, its), VALIDATION)
            ready = held.enter_context(prepared(found, images, its, [0], folder / name, resume))
            trials += [Trial(name, found, t.task, t.place, "cpu", FRESH) for t in ready]
        train_at_once(trials, 2, folder / "ray.log", said, stopping)


@pytest.fixture(scope="module")
def straight(task: TrainingTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One after the other in this process, on one thread as a worker has."""
    folder, threads = tmp_path_factory.mktemp("straight"), torch.get_num_threads()
    torch.set_num_threads(1)
    for name, found in zip(NAMES, architectures(), strict=True):
        train_seeds(found, split(images_for(found, task), VALIDATION), task, [0], folder / name, Watcher())
    torch.set_num_threads(threads)
    return folder


def equal(ours: Path, theirs: Path) -> None:
    for name in NAMES:
        for file in ("last", "best"):
            a, b = (load_file(folder / name / f"seed-0/{file}.safetensors") for folder in (ours, theirs))
            assert [key for key in b if not torch.equal(a[key], b[key])] == []


def trials_of_ray() -> list[int]:
    """Processes below this one that train a trial."""
    parents, found = {}, []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_text().replace("\0", " ")
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if (words.startswith("ray::") and "ImplicitFunc" in words) or "train_one" in words:
                found.append(int(folder.name))
    return [pid for pid in found if is_below(pid, parents)]


@on_ray
def test_what_is_trained_at_one_time_has_the_bits_of_one_after_the_other_though_a_worker_is_killed(
    task: TrainingTask, straight: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told, killed = dict[str, int](), list[int]()

    def said(trial: Trial, rows: Sequence[Row]) -> None:
        told[trial.name] = len(rows)
        if not killed:
            killed.append(trials_of_ray()[0])
            os.kill(killed[0], signal.SIGKILL)

    train(tmp_path, task, said=said)
    assert killed
    assert capfd.readouterr().out == ""
    assert told == dict.fromkeys(NAMES, 3)
    equal(tmp_path, straight)
    assert sorted(p.name for p in (tmp_path / "first/seed-0").iterdir()) == ["best.safetensors", "epochs.csv", "last.safetensors"]


@on_ray
def test_what_is_stopped_goes_on_to_the_same_bits(task: TrainingTask, straight: Path, tmp_path: Path) -> None:
    begun = set[str]()
    with pytest.raises(
        Resumable, match=r"stopped; all trainings are saved in .*Continue them with the same command and --resume"
    ):
        train(tmp_path, task, said=lambda trial, rows: begun.add(trial.name), stopping=lambda: bool(begun))
    assert not list(tmp_path.rglob("stop"))
    train(tmp_path, task, resume=True)
    equal(tmp_path, straight)


@on_ray
def test_a_training_that_fails_is_named_and_costs_no_other(task: TrainingTask, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"1 of 2 trainings could not continue; continue.*second seed 0: "):
        train(tmp_path, task, second=replace(task, lr=1e30, ema=0.0))
    ours, theirs = (load_file(folder / "first/seed-0/last.safetensors") for folder in (tmp_path, straight))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def without_ray(monkeypatch: pytest.MonkeyPatch, fit: Callable[[], None]) -> ModuleType:
    """The module that runs trials, with a function in place of Ray Tune."""
    from dcdnas.engine.executors.ray import _at_once

    for wraps in ("logged", "cluster"):
        monkeypatch.setattr(_at_once, wraps, lambda _: nullcontext())
    monkeypatch.setattr(_at_once, "_tuner", lambda *_: SimpleNamespace(fit=fit))
    return _at_once


def kept_in(folder: Path, name: str, found: Architecture, seed: int = 0) -> Trial:
    """A training whose folder is there."""
    place = folder / name / f"seed-{seed}"
    place.mkdir(parents=True)
    return Trial(name, found, replace(TASK, epochs=3, seed=seed), TrainingFolder(place, {}), "cpu", FRESH)


def test_every_seed_that_fails_is_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [kept_in(tmp_path, "one", network().architecture, seed) for seed in (0, 1)]

    def fit() -> None:
        for trial in trials:
            (trial.place.path / "failed.txt").write_text(f"the loss of {trial.task.seed} is nan.", encoding="utf-8")

    at_once = without_ray(monkeypatch, fit)
    said = r"2 of 2 trainings could not continue\. one seed 0: the loss of 0 is nan\. one seed 1: the loss of 1 is nan\.$"
    with pytest.raises(TrainingError, match=said):
        at_once.run_trials(trials, 2, tmp_path / "ray.log", lambda trial, rows: None, lambda: False, "")


@pytest.mark.parametrize("epochs", [3, 2])
def test_a_stop_that_is_asked_for_after_the_last_epoch_of_all_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    def fit() -> None:
        for trial, rows in zip(trials, (3, epochs), strict=True):
            lines = [f"{epoch},0.1,1.0,0.5,1.0," for epoch in range(1, rows + 1)]
            header = "epoch,learning_rate,training_loss,validation_accuracy,seconds,images_per_second"
            (trial.place.path / "epochs.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")

    trials = [kept_in(tmp_path, name, found) for name, found in zip(NAMES, architectures(), strict=True)]
    at_once = without_ray(monkeypatch, fit)
    with nullcontext() if epochs == 3 else pytest.raises(Resumable, match="stopped"):
        at_once.run_trials(trials, 2, tmp_path / "ray.log", lambda trial, rows: None, lambda: True, "")
