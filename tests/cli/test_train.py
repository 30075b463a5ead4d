"""`dcdnas train` and `dcdnas evaluate`: weights that are written are the weights that were tested."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Run
from safetensors.torch import load_file

import dcdnas
from dcdnas.cli._recipe import task_of
from dcdnas.cli.train import sources_of
from dcdnas.data import Images, load_test, split
from dcdnas.engine.executors.ray.at_once import Trial
from dcdnas.export import Model, export_model, read_model
from dcdnas.published import architecture
from dcdnas.results import load_run
from dcdnas.training import full as full_training
from dcdnas.training.full import VALIDATION, Watcher, fitted, images_for

TRAIN = ("train", "done", "-d", "npz:some.npz", "--epochs", "1", "-o", "out")


def test_every_seed_leaves_a_network_that_evaluates_to_the_accuracy_that_was_said(run: Run, searched: Path) -> None:
    said = run(*TRAIN, "--seeds", "2", "--json")
    assert said.code == 0
    assert [t["seed"] for t in said.json["trainings"]] == [0, 1]
    for training in said.json["trainings"]:
        again = run("evaluate", training["folder"], "-d", "npz:some.npz", "--json").json
        assert again["accuracy"] == training["test_accuracy"]
        assert again["images"] == 40
    assert json.loads((searched / "out" / "result.json").read_text()) == said.json
    assert "interpolation: bicubic" in (searched / "out/seed-1/config.yaml").read_text()


def test_a_result_is_not_replaced_by_that_of_other_seeds(run: Run, searched: Path) -> None:
    assert run(*TRAIN).code == 0
    result = Path("out/result.json").read_text()
    other = run(*TRAIN, "--seed", "5")
    assert other.code == 2
    assert "out contains a training already: result.json, seed-0. Continue it with the same command and --resume" in other.err
    resumed = run(*TRAIN, "--seed", "5", "--resume")
    assert resumed.code == 2
    assert "out/result.json has the results of 1 seed that would be lost: 0. " in resumed.err
    assert Path("out/result.json").read_text() == result
    assert [t["seed"] for t in run(*TRAIN, "--seeds", "2", "--resume", "--json").json["trainings"]] == [0, 1]


def test_what_was_trained_is_the_best_network_of_the_run(run: Run, searched: Path) -> None:
    run(*TRAIN)
    best = load_run("done").best
    assert best is not None
    assert dcdnas.load("out/seed-0").architecture == best.architecture


def test_the_test_images_are_opened_once_after_all_trainings(run: Run, searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    real = full_training.train_kept

    def opening(images: Images) -> Images:
        events.append("test images")
        return load_test(images)

    monkeypatch.setattr(full_training, "load_test", opening)
    monkeypatch.setattr(full_training, "train_kept", lambda *a, **k: (events.append("training"), real(*a, **k))[1])
    assert run(*TRAIN, "--seeds", "2").code == 0
    assert events == ["training", "training", "test images"]


def test_a_training_that_a_signal_stops_is_kept_and_resumed(run: Run, searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 0 has ended and seed 1 is under way when the signal comes: 8 batches of its 180 images are an epoch and a half."""
    words = (*TRAIN, "--seeds", "2", "--set", "batch_size=32", "--epochs", "2")
    real, seen = full_training.Training.steps, []

    def steps(self: full_training.Training) -> Iterator[None]:
        for _ in real(self):
            if (self.task.seed, self.step) == (1, 8):
                signal.raise_signal(signal.SIGTERM)
            seen.append((self.task.seed, self.step))
            yield

    monkeypatch.setattr(full_training.Training, "steps", steps)
    stopped = run(*words)
    assert stopped.code == 3
    assert "stopped in epoch 2 of 2 of seed 1; the training is saved in out/seed-1/last.safetensors" in stopped.err
    assert dcdnas.load("out/seed-0") is not None
    monkeypatch.setattr(full_training.Training, "steps", real)
    resumed = run(*words, "--resume", "--json")
    assert resumed.code == 0
    straight = run(*words[:-1], "2", "-o", "straight", "--json")
    assert [t["test_accuracy"] for t in resumed.json["trainings"]] == [t["test_accuracy"] for t in straight.json["trainings"]]
    for left, right in zip(
        sorted(Path("out").rglob("*.safetensors")), sorted(Path("straight").rglob("*.safetensors")), strict=True
    ):
        ours, theirs = load_file(left), load_file(right)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_folder_that_cannot_be_written_to_is_said_before_the_first_step(run: Run, searched: Path) -> None:
    (searched / "out").write_text("a file")
    said = run(*TRAIN)
    assert said.code == 2
    assert "out: cannot be written to" in said.err
    assert "seed 0 epoch" not in said.err


def test_a_published_network_can_be_trained() -> None:
    (found,) = sources_of("dcd/mobilenetv2_dcd", "")
    assert found.name == "dcd-mobilenetv2_dcd"
    assert found.architecture == architecture("dcd/mobilenetv2_dcd")


def test_a_network_priced_for_other_images_is_adapted_and_the_command_says_so(run: Run, searched: Path) -> None:
    config = (searched / "runs/done/front/best.yaml").read_text().replace("classes: 10", "classes: 7")
    config = re.sub(r"\nlabel_names:.*?\n(?=\w)", "\n", config.replace("\n  cost:", "\n  was:"), flags=re.DOTALL)
    (searched / "seven.yaml").write_text(config)
    said = run("train", "seven.yaml", "-d", "npz:some.npz", "--epochs", "1", "-o", "out")
    assert said.code == 0
    assert "adapted to 1x28x28 images and 10 classes" in said.err


def test_a_setting_that_is_no_part_of_a_recipe_is_refused(run: Run, searched: Path) -> None:
    for setting in ("trials=3", "data=fashion-mini", "resolution=8", "classes=2"):
        said = run(*TRAIN, "--set", setting)
        assert said.code == 2
        assert "part of a recipe" in said.err


def test_images_of_other_channels_cannot_be_evaluated(run: Run, searched: Path) -> None:
    run(*TRAIN)
    with np.load("some.npz") as archive:
        arrays = {name: np.repeat(array, 3, 1) if name.endswith("images") else array for name, array in archive.items()}
    np.savez("coloured.npz", **arrays)
    said = run("evaluate", "out", "-d", "npz:coloured.npz")
    assert said.code == 2
    assert "has images of 3 channels and 10 classes; the network takes 1 channel and knows 10 classes" in said.err


def test_a_folder_without_weights_says_what_is_missing(run: Run, searched: Path) -> None:
    run("export", "done", "--to", "config", "-o", "bare")
    said = run("evaluate", "bare", "-d", "npz:some.npz")
    assert said.code == 2
    assert "has no model.safetensors" in said.err


def test_a_test_part_of_other_images_is_refused_before_the_first_epoch(run: Run, searched: Path) -> None:
    with np.load("some.npz") as archive:
        arrays = dict(archive)
    np.savez("other.npz", **{**arrays, "test_images": np.repeat(arrays["test_images"], 3, 1)})
    said = run("train", "done", "-d", "npz:other.npz", "--epochs", "1", "-o", "out")
    assert said.code == 7
    assert "the training part has 1x28x28" in said.err
    assert "epoch" not in said.err.replace("1 epochs", "")


RECIPE = """\
format: dcdnas/recipe-1
task: {epochs: 1, batch_size: 90, lr: 0.05, schedule: steps, step_epochs: 2, mixup: 0.2}
"""


def test_a_recipe_decides_how_it_is_trained_and_flags_win(run: Run, searched: Path) -> None:
    Path("mine.yaml").write_text(RECIPE)
    words = ("train", "done", "-d", "npz:some.npz", "--recipe", "mine.yaml")
    assert run(*words, "-o", "as-said").code == 0
    assert run(*words, "-o", "changed", "--epochs", "2", "--set", "lr=0.01", "--set", "clip_norm=1").code == 0
    said, changed = (read_model(f"{folder}/seed-0/config.yaml").provenance["training"] for folder in ("as-said", "changed"))
    assert (said["epochs"], said["batch_size"], said["lr"], said["schedule"], said["mixup"]) == (1, 90, 0.05, "steps", 0.2)
    assert (changed["epochs"], changed["batch_size"], changed["lr"], changed["clip_norm"]) == (2, 90, 0.01, 1.0)


def test_a_mistyped_recipe_gets_the_nearest(run: Run, searched: Path) -> None:
    said = run(*TRAIN, "--recipe", "dcd-resnet5")
    assert said.code == 2
    assert "unknown recipe 'dcd-resnet5'. Did you mean 'dcd-resnet50'? Or give the path of a file." in said.err


def test_the_recipe_of_a_run_of_an_earlier_version_is_the_one_that_it_was_made_with() -> None:
    run = load_run(Path(__file__).parents[1] / "results" / "format1")
    assert "classifier_width" not in run.config["task"]
    made = task_of(run, "fashion-mini", None, None, [])
    assert (made.lr, made.classifier_width) == (run.config["task"]["lr"], 0)


def test_adamw_without_a_rate_of_its_own_is_refused(run: Run, searched: Path) -> None:
    said = run(*TRAIN, "--set", "optimizer=adamw")
    assert said.code == 2
    assert "--set optimizer=adamw: adamw needs a learning rate of its own, because the default of 0.4 is for sgd." in said.err
    assert run(*TRAIN, "--recipe", "modern", "--set", "optimizer=adamw", "--set", "lr=fast").code == 2
    assert "adamw needs" not in run(*TRAIN, "--set", "optimizer=adamw", "--set", "lr=1e-3").err


@pytest.mark.slow
def test_a_training_begins_with_weights_learns_of_a_teacher_and_may_end_early(run: Run, searched: Path) -> None:
    assert run(*TRAIN).code == 0
    words = (*TRAIN[:-1], "second", "--weights", "out/seed-0/model.safetensors", "--teacher", "out/seed-0", "--patience", "1")
    said = run(*words, "--epochs", "9", "--set", "lr=1e-6", "--set", "warmup=0")
    assert said.code == 0
    assert "Starting from the weights of out/seed-0/model.safetensors" in said.err
    rows = Path("second/seed-0/epochs.csv").read_text().splitlines()[1:]
    assert len(rows) < 9
    begun, kept = load_file("out/seed-0/model.safetensors"), load_file("second/seed-0/model.safetensors")
    assert all(torch.allclose(kept[name], begun[name], atol=1e-3) for name in begun if name.endswith("conv.weight"))


@pytest.mark.slow
def test_a_checkpoint_is_refused_as_a_beginning_and_as_weights(run: Run, searched: Path) -> None:
    assert run(*TRAIN).code == 0
    last, network = "out/seed-0/last.safetensors", ("out/seed-0", "-d", "npz:some.npz")
    for words in ((*TRAIN[:-1], "other", "--weights", last), ("evaluate", *network, "--weights", last)):
        said = run(*words)
        assert said.code == 2
        assert f"{last}: the checkpoint of a training, from which `dcdnas train` continues with --resume" in said.err
        assert "Give out/seed-0/model.safetensors or out/seed-0/best.safetensors." in said.err


@pytest.mark.slow
def test_a_training_begins_as_a_trained_network_with_other_operators(run: Run, searched: Path) -> None:
    assert run(*TRAIN[:2], "--trial", "0", *TRAIN[2:-1], "static").code == 0
    said = run(*TRAIN[:-1], "second", "--weights", "static/seed-0", "--set", "lr=1e-6", "--set", "warmup=0")
    assert said.code == 0
    assert "Starting from the network of static/seed-0" in said.err
    begun, kept = load_file("static/seed-0/model.safetensors"), load_file("second/seed-0/model.safetensors")
    norms = [
        name for name in kept.keys() & begun.keys() if name.endswith("norm.weight") and kept[name].shape == begun[name].shape
    ]
    assert norms
    assert all(torch.allclose(kept[name], begun[name], atol=1e-3) for name in norms)


def test_a_network_of_another_backbone_is_refused_as_a_beginning(run: Run, searched: Path) -> None:
    export_model(Model(architecture("odconv/od_resnet18")), Path("other"), ["config"])
    said = run(*TRAIN, "--weights", "other")
    assert said.code == 2
    assert (
        "--weights other: is a resnet, whose weights a mobilenetv2 cannot take over. Allowed: a trained mobilenetv2." in said.err
    )
    assert not Path("out/seed-0").exists()


def test_a_teacher_of_other_classes_is_refused_before_the_first_step(run: Run, searched: Path) -> None:
    assert run(*TRAIN).code == 0
    config = searched / "out/seed-0/config.yaml"
    config.write_text(re.sub(r"(label_names:\s*[-\[]\s*)", r"\1not-", config.read_text()))
    said = run(*TRAIN[:-1], "second", "--teacher", "out/seed-0")
    assert said.code == 2
    assert (
        "--teacher out/seed-0: has other classes than npz:some.npz, or another order of them. Train it on that data set."
        in said.err
    )
    assert not Path("second/seed-0").exists()


@pytest.mark.slow
def test_the_whole_front_is_trained_one_network_after_the_other(run: Run, searched: Path) -> None:
    front = load_run("done").front()
    assert len(front) > 1
    said = run("train", "done", "--front", "-d", "npz:some.npz", "--epochs", "1", "-o", "out", "--json")
    assert said.code == 0
    assert [result["network"] for result in said.json["networks"]] == [f"done-{t.number}" for t in front]
    for result, trial in zip(said.json["networks"], front, strict=True):
        place = Path("out") / result["network"]
        assert json.loads((place / "result.json").read_text()) == result
        assert dcdnas.load(place / "seed-0").architecture == trial.architecture
    assert said.err.count("Training done-") == len(front)


@pytest.mark.slow
def test_trainings_at_one_time_are_told_tested_and_written_like_others(
    run: Run, searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(trials: Sequence[Trial], jobs: int, log: Path, said: Callable[..., None], stopping: Callable[[], bool]) -> None:
        assert (jobs, log, stopping()) == (2, Path("out/workers.log"), False)
        for trial in trials:
            images = split(images_for(trial.found, trial.task), VALIDATION)
            full_training.train_kept(
                fitted(trial.found, images.train), images, trial.task, trial.place, Watcher(), trial.device, trial.start
            )
            said(trial, trial.place.rows)

    monkeypatch.setattr("dcdnas.cli._at_once.train_at_once", here)
    words = ("train", "done", "--front", "-d", "npz:some.npz", "--epochs", "1", "--json")
    at_once = run(*words, "--jobs", "2", "-o", "out")
    assert at_once.code == 0
    networks = [result["network"] for result in at_once.json["networks"]]
    assert [line for line in at_once.err.splitlines() if line.startswith("Training ")] == [
        f"Training {len(networks)} networks on npz:some.npz: 1 epoch, 1 seed each, 2 at the same time as trials of Ray, on cpu"
    ]
    assert all(f"{name} seed 0 epoch 1/1: " in at_once.err for name in networks)
    one_by_one = run(*words, "-o", "other").json["networks"]
    for ours, theirs in zip(at_once.json["networks"], one_by_one, strict=True):
        assert ours["test_accuracy"] == theirs["test_accuracy"]
        assert (
            dcdnas.load(f"out/{ours['network']}/seed-0").architecture
            == dcdnas.load(f"other/{ours['network']}/seed-0").architecture
        )


def test_several_trainings_at_one_time_share_none(run: Run, searched: Path) -> None:
    said = run(*TRAIN, "--seeds", "2", "--jobs", "2", "--workers", "2")
    assert said.code == 2
    assert "--jobs trains several networks at the same time, --workers shares one training. Leave one of them out." in said.err
    assert not Path("out").exists()


def test_a_front_of_what_has_none_is_refused(run: Run, searched: Path) -> None:
    both = run(*TRAIN, "--front", "--trial", "0")
    assert both.code == 2
    assert "--front trains all networks of the front, --trial 0 is one. Leave one of them out." in both.err
    preset = run("train", "dcd/mobilenetv2_dcd", "-d", "npz:some.npz", "--front")
    assert "--front needs a run, and dcd/mobilenetv2_dcd is a published network. Leave --front out." in preset.err


def test_a_trial_of_what_has_none_and_several_trials_are_refused(run: Run, project: Path) -> None:
    said = run("train", "dcd/mobilenetv2_dcd", "-d", "npz:some.npz", "--trial", "best")
    assert said.code == 2
    assert "--trial needs a run, and dcd/mobilenetv2_dcd is a published network. Leave --trial out." in said.err
    said = run("train", "some-run", "-d", "npz:some.npz", "--trial", "front")
    assert said.code == 2
    assert "--trial front is several networks. Train all of them with --front alone." in said.err


def test_workers_that_cannot_share_a_batch_are_refused_before_ray_is_started(run: Run, searched: Path) -> None:
    said = run(*TRAIN, "--workers", "2", "--set", "batch_size=33")
    assert said.code == 2
    assert "a batch of 33 images cannot be shared by 2 workers" in said.err
    assert "seed 0" not in said.err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_two_workers_leave_what_one_process_leaves(run: Run, searched: Path) -> None:
    said = run(*TRAIN, "--workers", "2", "--set", "batch_size=32", "--json")
    assert said.code == 0
    assert "1 seed, on 2 workers, cpu" in said.err
    assert "seed 0 epoch 1/1" in said.err
    (training,) = said.json["trainings"]
    assert run("evaluate", training["folder"], "-d", "npz:some.npz", "--json").json["accuracy"] == training["test_accuracy"]
