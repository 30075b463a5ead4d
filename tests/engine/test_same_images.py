"""A search goes on only with the images that it was begun with."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from searching import FEW, config

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Ending
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.continuing import extend
from dcdnas.engine.execution import Execution
from dcdnas.engine.fidelity import fidelity
from dcdnas.engine.prepare import prepare
from dcdnas.engine.run import search
from dcdnas.engine.same_images import other_images
from dcdnas.engine.store import Store
from dcdnas.errors import DataError, RunError
from dcdnas.tasks import classification

INLINE = Execution(executor="inline")


@pytest.fixture(autouse=True)
def read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every session read its images, as a new process does."""
    monkeypatch.setattr(classification, "_IMAGES", {})


def images(path: Path, number: int = 24, classes: int = 2, seed: int = 0, shift: int = 0) -> Path:
    """Writes small grey images of some classes."""
    pixels = np.random.default_rng(seed).integers(0, 255, (number, 1, 8, 8), dtype=np.uint8)
    labels = (np.arange(number) + shift) % classes
    np.savez(path, train_images=pixels, train_labels=labels, test_images=pixels, test_labels=labels)
    return path


def of(path: Path, trials: int = 1) -> SearchConfig:
    task = TrainingTask(data=f"npz:{path}", epochs=1, batch_size=8, augment="none")
    return config({**FEW, "classes": 2}, trials=trials, starts=0, task=task)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A search of two networks, of which one was trained, on the images in ``some.npz``."""
    run = tmp_path / "run"
    prepare(run, of(images(tmp_path / "some.npz")))
    assert search(run, INLINE) is Ending.COMPLETED
    extend(run, 2)
    return run


def forget_images() -> None:
    classification._IMAGES.clear()


def state_of(run: Path) -> tuple[dict[str, int], tuple[Ending | None, str]]:
    with closing(Store(run)) as store:
        return store.counts(), store.ending()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"number": 30}, r"images to learn from: 20 there, 24 here\n  images to validate on: 4 there, 6 here"),
        ({"classes": 3}, "classes: 0, 1 there, 0, 1, 2 here"),
        ({"seed": 1}, r"mean of the pixels: 0\.\d+ there, 0\.\d+ here"),
        ({"shift": 1}, "digest of the labels: [0-9a-f]{16} there, [0-9a-f]{16} here"),
    ],
)
def test_a_search_does_not_go_on_with_other_images(begun: Path, changes: dict[str, int], said: str) -> None:
    before = state_of(begun)
    images(begun.parent / "some.npz", **changes)
    forget_images()
    with pytest.raises(RunError, match=rf"run was begun with other images(.|\n)*{said}(.|\n)*--start-from"):
        search(begun, INLINE)
    assert state_of(begun) == before
    images(begun.parent / "some.npz")
    forget_images()
    assert search(begun, INLINE) is Ending.COMPLETED


def test_longer_trainings_on_other_images_are_not_compared_with_the_search(begun: Path) -> None:
    extend(begun, 3)
    search(begun, INLINE)
    images(begun.parent / "some.npz", number=30)
    forget_images()
    with closing(Store(begun)) as store, pytest.raises(RunError, match="begun with other images"):
        fidelity(begun, store.trials(), INLINE, 3)
    assert not (begun / "fidelity.json").exists()


def test_images_that_are_gone_end_a_resume_and_cost_no_network(begun: Path) -> None:
    before = state_of(begun)
    (begun.parent / "some.npz").unlink()
    forget_images()
    with pytest.raises(DataError, match=r"some\.npz"):
        search(begun, INLINE)
    assert state_of(begun) == before


def test_a_search_that_is_complete_needs_no_images(begun: Path) -> None:
    extend(begun, 1)
    (begun.parent / "some.npz").unlink()
    forget_images()
    assert search(begun, INLINE) is Ending.COMPLETED


def test_what_another_decoder_rounds_otherwise_is_the_same_images(begun: Path) -> None:
    with closing(Store(begun)) as store:
        kept = store.meta("images")
    task = SearchConfig.read(begun / "search.yaml").task
    rounded = {**kept, "mean": [value + 3e-5 for value in kept["mean"]]}
    assert other_images(kept, task) == other_images(rounded, task) == []
    assert len(other_images({**kept, "mean": [value + 3e-4 for value in kept["mean"]]}, task)) == 1
    earlier = {name: value for name, value in kept.items() if name != "labels"}
    assert other_images(earlier, task) == other_images(None, task) == []
