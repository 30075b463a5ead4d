"""Which weights stay in a run's folder while its front changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from searching import config
from small_training import SETTINGS
from trainings import pretend

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending, Score
from dcdnas.engine.execution import Execution
from dcdnas.engine.job import Job
from dcdnas.engine.prepare import prepare
from dcdnas.engine.proxy_training import Reporter
from dcdnas.engine.run import search
from dcdnas.engine.signals import Wish
from dcdnas.engine.store import Store
from dcdnas.engine.weights import FOLDER, KeptWeights, file_of
from dcdnas.errors import RunError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path, "x")) as made:
        yield made


def job(number: int, seed: int = 0, confirm: bool = False) -> Job:
    architecture = Architecture("mobilenetv2", SETTINGS, {}, (1, 28, 28), 10)
    return Job(number, architecture, TrainingTask(seed=seed), confirm)


def ends(kept: KeptWeights, training: Job, front: set[int]) -> None:
    """A worker writes its file, then the driver takes the end."""
    (kept.folder / file_of(training)).write_bytes(b"weights")
    kept.take(training, front)


def there(kept: KeptWeights) -> set[str]:
    return {path.name for path in kept.folder.iterdir()}


def test_the_front_and_confirming_trainings_are_kept(store: Store) -> None:
    kept = KeptWeights(store, "front")
    kept.prepare()
    ends(kept, job(0), {0})
    ends(kept, job(1), {0, 1})
    ends(kept, job(2), {0, 1})
    ends(kept, job(0, 9, confirm=True), {0, 1})
    assert there(kept) == {"0.safetensors", "1.safetensors", "0-9.safetensors"}
    ends(kept, job(3), {1, 3})
    assert there(kept) == {"1.safetensors", "3.safetensors", "0-9.safetensors"}
    assert {(w.number, w.seed): w.state for w in store.weights()} == {
        (0, 0): "dropped",
        (0, 9): "kept",
        (1, 0): "kept",
        (3, 0): "kept",
    }


def test_a_training_without_weights_drops_those_of_the_networks_that_it_pushed_off_the_front(store: Store) -> None:
    kept = KeptWeights(store, "front")
    kept.prepare()
    ends(kept, job(0), {0})
    kept.take(job(1), {1})
    assert there(kept) == set()
    assert [(w.number, w.state) for w in store.weights()] == [(0, "dropped")]


def test_all_are_kept_wherever_the_front_is(store: Store) -> None:
    kept = KeptWeights(store, "all")
    kept.prepare()
    for number in range(3):
        ends(kept, job(number), {number})
    assert there(kept) == {f"{number}.safetensors" for number in range(3)}


def test_a_later_session_knows_what_is_kept_and_removes_the_rest(store: Store) -> None:
    first = KeptWeights(store, "front")
    first.prepare()
    ends(first, job(0), {0})
    (first.folder / "1.safetensors").write_bytes(b"of a training whose driver died")
    (first.folder / ".2.safetensors.abc.new").write_bytes(b"half written")
    second = KeptWeights(store, "front")
    assert second.prepare() == first.folder.absolute()
    assert there(second) == {"0.safetensors"}


def test_none_makes_no_folder(store: Store) -> None:
    kept = KeptWeights(store, "none")
    assert kept.prepare() is None
    assert not kept.folder.exists()
    kept.take(job(0), {0})
    assert store.weights() == []


def test_a_driver_that_lost_its_run_leaves_the_weights_of_the_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, taken = tmp_path / "run", Wish(Ending.TAKEN_OVER, now=True)
    prepare(folder, config(trials=2, confirm=1))

    def losing(job: Job, report: Reporter) -> Score:
        if job.confirm:
            with closing(Store(folder, "w")) as other:
                other.claim("somebody else")
            (folder / FOLDER / "7.safetensors").write_bytes(b"weights of the other driver")
            monkeypatch.setattr("dcdnas.engine.run.requested", lambda folder: taken)
        return pretend(job, report)

    with pytest.raises(RunError, match="taken over"):
        search(folder, Execution(executor="inline", train=losing))
    assert (folder / FOLDER / "7.safetensors").is_file()
