"""The trained weights that a run keeps: whose they are, that they are the trained ones, and what becomes of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from commands import SEARCH, Run
from safetensors.torch import load_file
from thoroughness import slow_but

from dcdnas.core.trial import Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.store import Store, Weights
from dcdnas.export import load_weights
from dcdnas.networks import build_network
from dcdnas.results import load_run
from dcdnas.tasks.classification import images_of, trained_as
from dcdnas.training.loop import evaluate

SHORT = (*SEARCH, "--confirm", "0", "--quiet")


def files(run: str) -> set[str]:
    return {path.name for path in Path(f"runs/{run}/weights").glob("*")}


def reached(folder: Path, trial: Trial, weights: Path) -> float:
    """Accuracy of weights on the images that judged the trial."""
    task = SearchConfig.read(folder / "search.yaml").task
    images = images_of(task)
    network = build_network(trained_as(trial.architecture, images.train, task))
    load_weights(network, weights)
    return evaluate(network.eval(), images.validation)["accuracy"]


def test_a_run_keeps_the_weights_of_its_front_and_of_its_confirmations(run: Run, searched: Path) -> None:
    found = load_run("done")
    front = {f"{trial.number}.safetensors" for trial in found.front()}
    assert files("done") == front | {f"{c.number}-{c.seed}.safetensors" for c in found.confirmations}
    assert {w.file for w in found.weights if w.kept} == files("done")
    dropped = [w for w in found.weights if not w.kept]
    assert {w.number for w in dropped}.isdisjoint(trial.number for trial in found.front())


def test_the_weights_repeat_the_reading_of_their_training(run: Run, searched: Path) -> None:
    found = load_run("done")
    for trial in found.front():
        assert trial.score is not None
        assert (
            reached(found.folder, trial, found.folder / f"weights/{trial.number}.safetensors") == trial.score.values["accuracy"]
        )
    for c in found.confirmations:
        assert c.score is not None
        weights = found.folder / f"weights/{c.number}-{c.seed}.safetensors"
        assert reached(found.folder, found.by_number[c.number], weights) == c.score.values["accuracy"]


def test_a_run_is_exported_with_its_trained_weights(run: Run, searched: Path) -> None:
    trial = load_run("done").front()[0]
    said = run("export", "done", "--trial", str(trial.number), "--to", "config,torch", "-o", "out")
    assert said.code == 0
    assert f"Weights of the short training on seed {trial.seed}: " in said.err
    ours, theirs = load_file("out/model.safetensors"), load_file(f"runs/done/weights/{trial.number}.safetensors")
    assert all((ours[name] == theirs[name]).all() for name in theirs | ours)


@pytest.mark.slow
def test_a_confirmed_network_that_is_not_on_the_front_has_the_weights_of_a_confirming_training(run: Run, searched: Path) -> None:
    found = load_run("done")
    first = found.confirmations[0]
    own = Path(f"runs/done/weights/{first.number}.safetensors")
    with closing(Store("runs/done", "w")) as store:
        store.add_weights(Weights(first.number, found.by_number[first.number].seed, own.name, "", "dropped"))
    said = run("export", "done", "--trial", str(first.number), "--to", "torch", "-o", "out")
    assert said.code == 0
    assert f"Weights of the short training on seed {first.seed}: " in said.err


def test_weights_that_were_changed_or_lost_are_not_exported(run: Run, searched: Path) -> None:
    number = load_run("done").front()[0].number
    words = ("export", "done", "--trial", str(number), "--to", "torch", "-o", "out")
    path = searched / f"runs/done/weights/{number}.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\1\2\3")
    said = run(*words)
    assert said.code == 2
    assert "was changed after it was written. Give other weights with --weights." in said.err
    path.unlink()
    assert "is missing" in run(*words).err


@pytest.mark.parametrize("keep", slow_but([], ["all", "none"]))
def test_all_weights_are_kept_or_none(run: Run, project: Path, keep: str) -> None:
    assert run(*SHORT, "-n", "3", "--keep-weights", keep, "--name", "r").code == 0
    finished = {f"{trial.number}.safetensors" for trial in load_run("r").trials if trial.state == "finished"}
    assert files("r") == (finished if keep == "all" else set())
    assert Path("runs/r/weights").exists() == (keep == "all")


@pytest.mark.slow
def test_what_a_crash_left_is_removed_and_what_leaves_the_front_is_dropped(run: Run, searched: Path) -> None:
    """What the front was before is still kept, or was dropped with its file, when the search has gone on."""
    Path("runs/done/weights/77.safetensors").write_bytes(b"of no training")
    before = files("done")
    assert run("resume", "done", "-n", "+3", "--executor", "inline", "--quiet").code == 0
    found = load_run("done")
    kept = {w.file for w in found.weights if w.kept}
    assert files("done") == kept
    assert {f"{trial.number}.safetensors" for trial in found.front()} <= kept
    gone = before - kept - {"77.safetensors"}
    assert gone <= {w.file for w in found.weights if w.state == "dropped"}


def test_status_says_how_much_disk_a_run_takes(run: Run, searched: Path) -> None:
    size = sum(path.stat().st_size for path in Path("runs/done").rglob("*") if path.is_file())
    assert run("status", "done", "--json").json["bytes"] == size
    assert f"of it the weights of {len(files('done'))} trainings" in run("status", "done").out


def test_a_run_that_is_continued_keeps_the_weights_that_it_was_begun_with_and_says_so(run: Run, project: Path) -> None:
    words = (*SEARCH, "-n", "1", "--name", "own")
    assert "keeps the weights" not in run(*words).err
    said = run(*words, "--keep-weights", "all")
    assert said.code == 0
    assert "Note: the run keeps the weights that it was begun with, --keep-weights front." in " ".join(said.err.split())
