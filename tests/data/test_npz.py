"""NumPy archives: whichever way their arrays are laid out, and what is said when they are damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcdnas.data import load, load_test
from dcdnas.errors import DataError

RNG = np.random.default_rng(0)


def bytes_of(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def write_npz(path: Path, **arrays: Any) -> str:
    np.savez_compressed(path, **arrays)
    return f"npz:{path}"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 5, 6), (1, 5, 6)), ((4, 5, 6, 3), (3, 5, 6)), ((4, 3, 5, 6), (3, 5, 6)), ((4, 1, 5, 3), (1, 5, 3))],
)
def test_an_archive_may_have_its_channels_first_last_or_not_at_all(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(*shape), train_labels=np.array([0, 1, 0, 1]))
    assert load(name).shape == expected


def test_channels_last_become_first_without_mixing_pixels(tmp_path: Path) -> None:
    pixels = bytes_of(4, 5, 6, 3)
    name = write_npz(tmp_path / "a.npz", train_images=pixels, train_labels=np.array([[0], [1], [0], [1]]))
    assert np.array_equal(load(name).pixels[2, 1].numpy(), pixels[2, :, :, 1])


def test_an_archive_may_call_its_arrays_x_and_y(tmp_path: Path) -> None:
    name = write_npz(tmp_path / "a.npz", x_train=bytes_of(4, 5, 5), y_train=np.array([0, 1, 2, 2], np.uint8), x_test=0, y_test=0)
    images = load(name)
    assert (images.labels.tolist(), images.classes) == ([0, 1, 2, 2], ("0", "1", "2"))


def test_an_archive_is_resized_to_the_resolution_asked_for(tmp_path: Path) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(4, 5, 6), train_labels=np.array([0, 1, 0, 1]))
    assert load(name, 12).shape == (1, 12, 12)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros(1)}, "has images. Needed: train_images and train_labels"),
        ({"train_images": np.zeros((2, 4, 4)), "train_labels": np.zeros(2, int)}, "images are float64 of shape"),
        ({"train_images": np.zeros((2, 4), np.uint8), "train_labels": np.zeros(2, int)}, r"images are uint8 of shape \(2, 4\)"),
        ({"train_images": np.zeros((2, 4, 4), np.uint8), "train_labels": np.zeros(2)}, "labels are float64"),
        ({"train_images": np.zeros((2, 4, 4), np.uint8), "train_labels": np.array([0, -1])}, "label -1 among 1 classes"),
        ({"train_images": np.zeros((0, 4, 4), np.uint8), "train_labels": np.zeros(0, int)}, "holds no images"),
        ({"train_images": np.array([None, {}]), "train_labels": np.zeros(2, int)}, "pickled objects, which are never read"),
    ],
    ids=["other names", "floats", "no maps", "float labels", "a wrong label", "empty", "pickled objects"],
)
def test_an_archive_of_something_else_says_what_is_needed(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(write_npz(tmp_path / "a.npz", **arrays))


def test_a_test_label_that_the_training_part_lacks_is_refused(tmp_path: Path) -> None:
    arrays = {f"{p}_images": bytes_of(2, 4, 4) for p in ("train", "test")}
    name = write_npz(tmp_path / "a.npz", **arrays, train_labels=np.array([0, 1]), test_labels=np.array([0, 2]))
    with pytest.raises(DataError, match="test part: label 2 among 2 classes"):
        load_test(load(name))


def test_the_training_part_is_read_when_the_test_part_is_damaged_or_missing(tmp_path: Path) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(2, 4, 4), train_labels=np.array([0, 1]))
    images = load(name)
    with pytest.raises(DataError, match="Needed: test_images"):
        load_test(images)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a.npz: damaged, or no NumPy archive"):
        load(f"npz:{tmp_path / 'a.npz'}")


def test_one_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(DataError, match="one array, not an archive"):
        load(f"npz:{tmp_path / 'a.npy'}")


def test_an_archive_cut_anywhere_is_an_error_and_never_wrong_images(tmp_path: Path) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(8, 9, 9), train_labels=np.arange(8))
    whole, path = (tmp_path / "a.npz").read_bytes(), tmp_path / "a.npz"
    expected = load(name).pixels.clone()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError):
            load(name)
    path.write_bytes(whole)
    assert torch.equal(load(name).pixels, expected)


def test_a_file_that_is_no_archive_is_not_advised_to_be_unpickled(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"these are no arrays")
    with pytest.raises(DataError, match="pickled objects, which are never read") as refused:
        load(f"npz:{tmp_path / 'x.npz'}")
    assert "allow_pickle" not in str(refused.value)


def test_a_test_part_without_one_of_the_classes_keeps_their_numbers(tmp_path: Path) -> None:
    arrays = {f"{p}_images": bytes_of(4, 4, 4) for p in ("train", "test")}
    name = write_npz(tmp_path / "a.npz", **arrays, train_labels=np.array([0, 1, 2, 3]), test_labels=np.array([0, 0, 1, 2]))
    train = load(name, 0, 2)
    assert (train.classes, load_test(train).labels.tolist()) == (("0", "2"), [0, 0, 1])
