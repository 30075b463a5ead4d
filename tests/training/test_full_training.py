"""Trainings in earnest: kept, continued to the same bits, refused where they would be continued as something else."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_training import TASK, network, small_data

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.files import write_whole
from dcdnas.core.lock import FolderLock
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split
from dcdnas.errors import FileError, Resumable, RunError
from dcdnas.networks import build_network
from dcdnas.training import folder as kept_in
from dcdnas.training.attentions import readings_in
from dcdnas.training.checkpoint import read
from dcdnas.training.folder import Row, check_kept, described, differences, rows_in
from dcdnas.training.full import Trained, Watcher, train_seeds
from dcdnas.training.loop import Training, evaluate, train

SEED = 3
LONG = replace(TASK, epochs=4, augment="crop-flip", mixup=0.2, mixup_ramp=2, clip_norm=5.0)
"""Four epochs of seven steps; temperatures fall over the first ten steps, and every step draws random numbers of each kind."""

MODERN = replace(
    LONG, optimizer="adamw", lr=1e-3, ema=0.9, augment="resized-crop", randaugment=1, erasing=0.5, cutmix=1.0, accumulate=2,
    patience=4, precision="bfloat16",
)  # fmt: skip
"""The same with all that a modern recipe has."""

LAYERS = {
    "stage1.block1.expand": LayerChoice("odconv", {"num_kernels": 2}),
    "stage2.block1.expand": LayerChoice("dcd", {"variant": "code"}),
}
"""A layer that anneals, and one whose BatchNorm computes its statistics itself."""


class At(Watcher):
    """Stops a training after a step, or ends it there as a process that dies does."""

    def __init__(self, step: int, dies: bool = False) -> None:
        self.last, self.dies, self.now = step, dies, 0
        self.seeds: list[int] = []

    def step(self, seed: int, training: Training) -> None:
        self.now = training.step
        if self.dies and self.now == self.last:
            raise KeyboardInterrupt

    def ended(self, trained: Trained) -> None:
        self.seeds.append(trained.seed)

    def stopping(self) -> bool:
        return self.now == self.last


@pytest.fixture(scope="module")
def data() -> Split:
    return small_data()


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    return replace(network().architecture, layers=LAYERS)


@pytest.fixture(scope="module")
def straight(architecture: Architecture, data: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """Four epochs without a pause."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, train_seeds(architecture, data, LONG, [SEED], folder, Watcher())[0]


@pytest.fixture(scope="module")
def modern(architecture: Architecture, data: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    folder = tmp_path_factory.mktemp("modern")
    return folder, train_seeds(architecture, data, MODERN, [SEED], folder, Watcher())[0]


@pytest.mark.parametrize(
    ("step", "dies"),
    [
        pytest.param(18, False, id="within an epoch", marks=pytest.mark.slow),
        pytest.param(14, False, id="before a reading", marks=pytest.mark.slow),
        pytest.param(18, True, id="killed", marks=pytest.mark.slow),
    ],
)
def test_a_modern_training_goes_on_to_the_same_bits(
    architecture: Architecture, data: Split, modern: tuple[Path, Trained], tmp_path: Path, step: int, dies: bool
) -> None:
    with pytest.raises(KeyboardInterrupt if dies else Resumable):
        train_seeds(architecture, data, MODERN, [SEED], tmp_path, At(step, dies))
    equal_to(modern, tmp_path, train_seeds(architecture, data, MODERN, [SEED], tmp_path, Watcher(), resume=True)[0])


@pytest.mark.parametrize(
    ("step", "dies"),
    [
        pytest.param(18, False, id="within an epoch", marks=pytest.mark.slow),
        pytest.param(14, False, id="before a reading", marks=pytest.mark.slow),
        pytest.param(18, True, id="killed"),
    ],
)
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    architecture: Architecture, data: Split, straight: tuple[Path, Trained], tmp_path: Path, step: int, dies: bool
) -> None:
    with pytest.raises(KeyboardInterrupt if dies else Resumable):
        train_seeds(architecture, data, LONG, [SEED], tmp_path, At(step, dies))
    equal_to(straight, tmp_path, train_seeds(architecture, data, LONG, [SEED], tmp_path, Watcher(), resume=True)[0])


def equal_to(straight: tuple[Path, Trained], tmp_path: Path, again: Trained) -> None:
    """All files and weights are those of the training that had no pause."""
    folder, whole = straight
    assert [r.values for r in again.score.curve] == [r.values for r in whole.score.curve]
    for name in ("last", "best"):
        ours, theirs = (load_file(place / f"seed-{SEED}/{name}.safetensors") for place in (tmp_path, folder))
        assert set(ours) == set(theirs)
        assert [key for key in theirs if not torch.equal(ours[key], theirs[key])] == []
    assert len({(place / f"seed-{SEED}/attentions.csv").read_text(encoding="utf-8") for place in (tmp_path, folder)}) == 1
    for key, tensor in whole.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[key], tensor), key


@pytest.mark.slow
def test_it_is_the_training_of_a_search(architecture: Architecture, data: Split, straight: tuple[Path, Trained]) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        made = build_network(architecture)
    score = train(made, data, replace(LONG, seed=SEED))
    assert [r.values for r in score.curve] == [r.values for r in straight[1].score.curve]
    assert all(torch.equal(made.state_dict()[key], tensor) for key, tensor in straight[1].network.state_dict().items())


def test_the_epochs_are_a_table_and_the_best_weights_repeat_their_reading(
    architecture: Architecture, data: Split, straight: tuple[Path, Trained]
) -> None:
    place = straight[0] / f"seed-{SEED}"
    with (place / "epochs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curve = straight[1].score.curve
    assert [(int(r["epoch"]), float(r["validation_accuracy"])) for r in rows] == [(r.epoch, r.values["accuracy"]) for r in curve]
    assert all(float(row["images_per_second"]) > 0 and float(row["training_loss"]) > 0 for row in rows)
    best = build_network(architecture)
    best.load_state_dict(load_file(place / "best.safetensors"))
    assert evaluate(best, data.validation)["accuracy"] == max(r.values["accuracy"] for r in curve)


def test_the_table_has_every_epoch_though_a_training_dies_before_writing_it(
    architecture: Architecture, data: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, table = replace(LONG, epochs=2, augment="none"), tmp_path / f"seed-{SEED}/epochs.csv"

    def dying(path: Path, content: str | bytes) -> None:
        if path == table and len(str(content).splitlines()) == 3:
            raise KeyboardInterrupt
        write_whole(path, content)

    monkeypatch.setattr(kept_in, "write_whole", dying)
    with pytest.raises(KeyboardInterrupt):
        train_seeds(architecture, data, task, [SEED], tmp_path, Watcher())
    monkeypatch.undo()
    assert len(rows_in(table)) == 1
    trained = train_seeds(architecture, data, task, [SEED], tmp_path, Watcher(), resume=True)[0]
    rows = rows_in(table)
    assert [(row.epoch, row.validation) for row in rows] == [(r.epoch, r.values) for r in trained.score.curve]
    assert all(row.training_loss and row.images_per_second for row in rows)


def test_the_attentions_are_read_after_every_epoch(straight: tuple[Path, Trained]) -> None:
    readings = readings_in(straight[0] / f"seed-{SEED}/attentions.csv")
    assert [(r.epoch, set(r.layers)) for r in readings] == [(epoch, set(LAYERS)) for epoch in range(1, 5)]
    kernels = [next(a for a in r.layers["stage1.block1.expand"] if a.name == "kernel") for r in readings]
    assert kernels[0].entropy > kernels[-1].entropy


def test_a_static_network_has_no_attentions_to_read(architecture: Architecture, data: Split, tmp_path: Path) -> None:
    train_seeds(replace(architecture, layers={}), data, replace(LONG, epochs=1, augment="none"), [0], tmp_path, Watcher())
    assert not (tmp_path / "seed-0/attentions.csv").exists()


@pytest.mark.slow
def test_every_seed_is_handed_on_when_it_ends_and_not_trained_again(
    architecture: Architecture, data: Split, tmp_path: Path
) -> None:
    task = replace(LONG, epochs=1, augment="none")
    first, second = At(-1), At(-1)
    train_seeds(architecture, data, task, [0], tmp_path, first)
    train_seeds(architecture, data, task, [0, 1], tmp_path, second, resume=True)
    assert (first.seeds, second.seeds) == ([0], [0, 1])
    assert (first.now, second.now) == (7, 7)
    assert read(tmp_path / "seed-0/last.safetensors").facts["step"] == 7


def refused(architecture: Architecture, data: Split, task: TrainingTask, folder: Path, resume: bool = True) -> str:
    with pytest.raises((RunError, FileError)) as error:
        train_seeds(architecture, data, task, [SEED], folder, Watcher(), resume)
    return str(error.value)


def test_more_damaged_pictures_may_be_left_out_by_a_resume(architecture: Architecture, data: Split) -> None:
    """As the message about a damaged picture advises; checkpoints of earlier versions state the number."""
    now = described(architecture, data, replace(LONG, skip_damaged=0.01))
    for before in (described(architecture, data, LONG), now | {"skip_damaged": 0.0}):
        assert differences(before, now) == []


def test_another_recipe_network_or_other_images_are_refused_with_the_difference(
    architecture: Architecture, data: Split, straight: tuple[Path, Trained]
) -> None:
    folder = straight[0]
    assert "lr was 0.4 and is 0.05." in refused(architecture, data, replace(LONG, lr=0.05), folder)
    assert "epochs was 4 and is 6." in refused(architecture, data, replace(LONG, epochs=6), folder)
    other = replace(architecture, layers={})
    assert f"network was {architecture.digest} and is {other.digest}." in refused(other, data, LONG, folder)
    fewer = Split(data.train.take(torch.arange(200)), data.validation)
    assert "images to learn from was 250 and is 200; content of the images was" in refused(architecture, fewer, LONG, folder)
    brighter = Split(replace(data.train, pixels=data.train.pixels // 2), data.validation)
    assert "belongs to another training: content of the images was" in refused(architecture, brighter, LONG, folder)


def test_a_training_is_not_written_over(architecture: Architecture, data: Split, straight: tuple[Path, Trained]) -> None:
    assert "contains a training already" in refused(architecture, data, LONG, straight[0], resume=False)


def test_a_folder_of_other_seeds_is_not_written_over(
    architecture: Architecture, data: Split, straight: tuple[Path, Trained], tmp_path: Path
) -> None:
    with pytest.raises(RunError) as error:
        train_seeds(architecture, data, LONG, [SEED + 1], straight[0], Watcher())
    said = "Continue it with the same command and --resume, or name another folder with -o."
    assert str(error.value) == f"{straight[0]} contains a training already: seed-{SEED}. {said}"
    assert not (straight[0] / f"seed-{SEED + 1}").exists()
    (tmp_path / "result.json").write_text("{}")
    assert f"{tmp_path} contains a training already: result.json. " in refused(architecture, data, LONG, tmp_path, resume=False)


def test_a_resumed_training_loses_no_seed_of_a_result(architecture: Architecture, data: Split, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"trainings": [{"seed": seed} for seed in (0, SEED, 7)]}))
    said = refused(architecture, data, LONG, tmp_path)
    assert f"{tmp_path}/result.json has the results of 2 seeds that would be lost: 0, 7. Resume with all of its seeds" in said
    check_kept(tmp_path, [0, SEED, 7, 8], resume=True)
    for other in ("{}", "[]", "no JSON", '{"trainings": [1]}', '{"trainings": [{"seed": "x"}]}'):
        (tmp_path / "result.json").write_text(other)
        check_kept(tmp_path, [1], resume=True)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read as a checkpoint"),
        (lambda path: save_file({}, path), "Allowed: 'dcdnas/training-1'"),
        (lambda path: save_file({}, path, {"format": "dcdnas/training-1", "training": "[]"}), "does not describe a training"),
    ],
    ids=["cut", "other", "no facts"],
)
def test_a_damaged_checkpoint_is_refused_before_any_training(
    architecture: Architecture, data: Split, straight: tuple[Path, Trained], tmp_path: Path, damage: object, said: str
) -> None:
    place = tmp_path / f"seed-{SEED}"
    place.mkdir()
    place.joinpath("last.safetensors").write_bytes((straight[0] / f"seed-{SEED}/last.safetensors").read_bytes())
    damage(place / "last.safetensors")  # type: ignore[operator]
    assert said in refused(architecture, data, LONG, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("random.torch"),
        lambda tensors: tensors.update({"optimizer.0.momentum_buffer": torch.ones(1, 2, 3)}),
        lambda tensors: tensors.update({"optimizer.9999.momentum_buffer": torch.ones(1)}),
    ],
    ids=["without a tensor", "momentum of another parameter", "momentum of no parameter"],
)
def test_a_checkpoint_of_something_else_does_not_fit(
    architecture: Architecture, data: Split, straight: tuple[Path, Trained], tmp_path: Path, change: Callable[..., object]
) -> None:
    path = tmp_path / f"seed-{SEED}/last.safetensors"
    path.parent.mkdir()
    kept = read(straight[0] / f"seed-{SEED}/last.safetensors")
    tensors = dict(kept.tensors)
    change(tensors)
    save_file(tensors, path, {"format": "dcdnas/training-1", "training": json.dumps(kept.facts)})
    assert "does not fit its training" in refused(architecture, data, LONG, tmp_path)


class Second(Watcher):
    """Begins another training in the same folder after the first epoch."""

    def __init__(self, begin: Callable[[], object]) -> None:
        self.begin, self.said = begin, ""

    def epoch(self, seed: int, rows: Sequence[Row]) -> None:
        if not self.said:
            with pytest.raises(RunError) as error:
                self.begin()
            self.said = str(error.value)


def test_a_second_training_in_a_folder_is_refused_while_the_first_lives(
    architecture: Architecture, data: Split, tmp_path: Path
) -> None:
    task = replace(LONG, epochs=1, augment="none")
    second = Second(lambda: train_seeds(architecture, data, task, [1], tmp_path, Watcher(), resume=True))
    train_seeds(architecture, data, task, [SEED], tmp_path, second)
    where = f"process {os.getpid()} on {socket.gethostname()}"
    assert second.said == f"{tmp_path} is being trained in by {where}. Wait for it, or name another folder with -o."
    train_seeds(architecture, data, task, [1], tmp_path, Watcher(), resume=True)


def test_a_training_whose_folder_was_taken_over_writes_nothing_more(
    architecture: Architecture, data: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderLock, "lost", property(lambda lock: True, lambda lock, value: None), raising=False)
    said = refused(architecture, data, replace(LONG, epochs=1, augment="none"), tmp_path)
    assert "another process has taken over this training" in said
    assert not list((tmp_path / f"seed-{SEED}").iterdir())


def test_the_folder_of_a_training_that_died_is_taken_over(architecture: Architecture, data: Split, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = {"pid": process.pid, "born": "1", "host": socket.gethostname(), "beat": time.time(), "token": "other"}
    (tmp_path / "driver.json").write_text(json.dumps(left))
    task = replace(LONG, epochs=1, augment="none")
    assert train_seeds(architecture, data, task, [SEED], tmp_path, Watcher())
    assert not (tmp_path / "driver.json").exists()
