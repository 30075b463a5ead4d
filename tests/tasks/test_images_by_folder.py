"""Images are read once a process, by what their name means where it is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcdnas.core.task import TrainingTask
from dcdnas.tasks.classification import images_of


def test_one_name_in_two_folders_means_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = TrainingTask(data="npz:some.npz")
    found = []
    for count in (20, 30):
        folder = tmp_path / str(count)
        folder.mkdir()
        labels = np.arange(count) % 2
        np.savez(folder / "some.npz", train_images=np.zeros((count, 1, 4, 4), np.uint8), train_labels=labels)
        monkeypatch.chdir(folder)
        found.append(images_of(task))
        assert images_of(task) is found[-1]
    assert [sum(map(len, images)) for images in found] == [20, 30]
