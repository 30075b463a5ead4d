"""Which images a search trains on: at which size, with what left out, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dcdnas.engine.planning.settings import SearchSettings, share
from dcdnas.engine.planning.task import chosen_task, default_resolution, notes_on_images
from dcdnas.errors import DataError, UsageError
from dcdnas.space.library import load_space
from dcdnas.tasks.classification import images_of


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (40, 40), (number, 9, 9)).save(tmp_path / "set" / name / f"{number}.png")
    return f"folder:{tmp_path / 'set'}"


@pytest.mark.parametrize(
    ("space", "said", "side"),
    [
        ("fashion-quick", {}, 28),
        ("cifar10", {}, 32),
        ("mobilenetv2-imagenet", {}, 224),
        ("mobilenetv2-imagenet", {"resolution": 96}, 96),
        ("fashion-quick", {"resolution": 0}, 0),
    ],
)
def test_pictures_of_any_size_train_at_the_spaces_input(space: str, said: dict[str, int], side: int) -> None:
    found = load_space(space)
    for data in ("folder:/x", "parquet:/x", "hf:x"):
        assert default_resolution(SearchSettings(data=data, **said), found) == side


def test_the_stand_in_and_images_of_one_size_keep_what_the_space_says() -> None:
    space = load_space("mobilenetv2-imagenet")
    assert default_resolution(SearchSettings(), space) is None
    assert space.proxy.resolution == 24
    assert default_resolution(SearchSettings(data="npz:x"), space) is None


def test_a_search_on_pictures_says_what_it_read_at_the_spaces_size(data: str) -> None:
    task = chosen_task(SearchSettings(data=data), load_space("fashion-quick"))
    assert images_of(task).train.shape == (3, 28, 28)
    (note,) = notes_on_images(task)
    assert note.startswith(f"{data}: 16 pictures of 40x40: 16 RGB; no folder train: 20 % of each class")


def test_damaged_pictures_end_a_search_unless_so_many_may_be_left_out(data: str) -> None:
    for number in range(10):
        (Path(data.removeprefix("folder:")) / "a" / f"{number}.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match="8 of 16 pictures cannot be read"):
        chosen_task(SearchSettings(data=data), load_space("fashion-quick"))
    task = chosen_task(SearchSettings(data=data, skip_damaged="50%"), load_space("fashion-quick"))
    assert (task.skip_damaged, images_of(task).train.skip) == (0.5, 0.5)
    assert "8 damaged left out" in notes_on_images(task)[0]


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.01", 0.01), ("12", 12.0), (3, 3.0), (None, 0.0), (" 5 % ", 0.05)])
def test_what_may_be_left_out_is_a_share_or_a_number(text: str | float | None, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["100%", "-1", "some", "nan", "1%%", ""])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Write a share like 1%, or a number like 12"):
        share(text)


def test_images_that_need_no_word_get_none() -> None:
    assert notes_on_images(load_space("fashion-quick").proxy) == []
