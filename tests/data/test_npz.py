"""NumPy archives: whichever way their arrays are laid out, and what is said when they are damaged."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcdnas.data import contents, load, load_test
from dcdnas.errors import DataError, UsageError

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
    assert contents(name) == (expected[0], 2)


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
        ({"train_images": np.zeros((2, 4, 4), np.uint8), "train_labels": np.array([0, -1])}, "labels from -1 to 0"),
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
    with pytest.raises(DataError, match="no NumPy archive") as refused:
        load(f"npz:{tmp_path / 'x.npz'}")
    assert "pickle" not in str(refused.value)


def test_a_test_part_without_one_of_the_classes_keeps_their_numbers(tmp_path: Path) -> None:
    arrays = {f"{p}_images": bytes_of(4, 4, 4) for p in ("train", "test")}
    name = write_npz(tmp_path / "a.npz", **arrays, train_labels=np.array([0, 1, 2, 3]), test_labels=np.array([0, 0, 1, 2]))
    train = load(name, 0, 2)
    assert (train.classes, load_test(train).labels.tolist()) == (("0", "2"), [0, 0, 1])


CHANNELS = (1, 2, 3, 4, 5, 7, 10, 12, 13, 20)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("size", [(32, 32), (28, 28), (32, 24), (24, 40)])
def test_any_number_of_channels_is_found_first_or_last(tmp_path: Path, channels: int, size: tuple[int, int]) -> None:
    pixels = bytes_of(4, channels, *size)
    for name, array in {"first": pixels, "last": pixels.transpose(0, 2, 3, 1)}.items():
        found = load(write_npz(tmp_path / f"{name}.npz", train_images=array, train_labels=np.array([0, 1, 0, 1])))
        assert np.array_equal(found.pixels.numpy(), pixels), name
        assert bool(found.notes) == (name == "last")


@pytest.mark.parametrize("shape", [(4, 8, 8, 8), (4, 5, 9, 5), (4, 3, 3, 3)])
def test_channels_that_could_be_first_or_last_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(*shape), train_labels=np.array([0, 1, 0, 1]))
    with pytest.raises(DataError, match="the channels could be axis 1 or 3"):
        load(name)


@pytest.mark.parametrize(
    "labels",
    [np.arange(10) + 1, np.arange(10) * 10, np.arange(10, dtype=np.uint8) + 200, np.arange(10).reshape(1, 10) + 1],
    ids=["from one", "tens", "bytes", "a row"],
)  # fmt: skip
def test_labels_that_occur_are_the_classes(tmp_path: Path, labels: np.ndarray[Any, Any]) -> None:
    arrays = {f"{p}_images": bytes_of(10, 4, 4) for p in ("train", "test")}
    images = load(write_npz(tmp_path / "a.npz", **arrays, train_labels=labels, test_labels=labels.reshape(-1)[::-1]))
    assert images.labels.tolist() == list(range(10))
    assert images.classes == tuple(map(str, labels.reshape(-1).tolist()))
    assert "10 classes, the numbers that occur" in images.notes[0]
    assert load_test(images).labels.tolist() == list(range(9, -1, -1))


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(4) + 10**12,
        np.array([0, 1, 0, 2**27]),
        np.array([0, 1, 0, 2**64 - 1], np.uint64),
        np.array([0, 1, 0, -1]),
        np.array([0, 1, 2, 1_000_001]),
    ],
    ids=["ids", "2^27", "unsigned -1", "-1", "just above"],
)
def test_labels_that_are_no_classes_are_refused_at_once(tmp_path: Path, labels: np.ndarray[Any, Any]) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(4, 4, 4), train_labels=labels)
    with pytest.raises(DataError, match=r"labels from .* to .*\. Allowed: whole numbers from 0 to 1,000,000"):
        load(name)


@pytest.mark.parametrize("shape", [(4, 3, 8, 8), (4, 9, 9), (4, 8, 9)], ids=["channels", "size", "one side"])
def test_a_test_part_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    labels = {"train_labels": np.array([0, 1, 0, 1]), "test_labels": np.array([0, 1, 0, 1])}
    train = load(write_npz(tmp_path / "a.npz", train_images=bytes_of(4, 8, 8), test_images=bytes_of(*shape), **labels))
    with pytest.raises(DataError, match=r"test part: images of .*, the training part has 1x8x8"):
        load_test(train)


@pytest.mark.parametrize(
    "classes", [np.array(3), np.array([["a"]]), np.array([1.5, 2.5]), np.array([])], ids=["0", "2", "f", "none"]
)
def test_class_names_that_are_none_are_refused(tmp_path: Path, classes: np.ndarray[Any, Any]) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(2, 4, 4), train_labels=np.array([0, 1]), classes=classes)
    with pytest.raises(DataError, match=r"classes are .*Allowed: a list of names"):
        load(name)


@pytest.mark.parametrize("classes", [["a", "b", "a"], ["a", "", "b"], ["a", " ", "b"]])
def test_class_names_that_repeat_or_are_empty_are_refused(tmp_path: Path, classes: list[str]) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(3, 4, 4), train_labels=np.arange(3), classes=np.array(classes))
    with pytest.raises(DataError, match=r"classes: '.*' is no name or that of several classes"):
        load(name)


@pytest.mark.parametrize("shape", [(4, 0, 8, 3), (4, 8, 8, 0), (4, 0, 0)])
def test_images_without_pixels_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(*shape), train_labels=np.array([0, 1, 0, 1]))
    for read in (load, contents):
        with pytest.raises(DataError, match=r"train_images: images are .*without a pixel or channel"):
            read(name)


def test_images_of_one_class_are_refused(tmp_path: Path) -> None:
    name = write_npz(tmp_path / "a.npz", train_images=bytes_of(4, 4, 4), train_labels=np.full(4, 7))
    with pytest.raises(DataError, match="all images are of one class, 7"):
        load(name)


@pytest.mark.parametrize("masked", ["train", "test"])
def test_labels_in_one_part_and_masks_in_the_other_are_refused(tmp_path: Path, masked: str) -> None:
    arrays = {}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = bytes_of(4, 6, 6)
        shape, kind = ((4, 6, 6), "masks") if part == masked else ((4,), "labels")
        arrays[f"{part}_{kind}"] = np.arange(np.prod(shape)).reshape(shape) % 2
    train = load(write_npz(tmp_path / "a.npz", **arrays))
    with pytest.raises(DataError, match=r"test part: the training part has .*masks.*Allowed: the same in both"):
        load_test(train)


# Archives that want to do harm


def npy(shape: tuple[int, ...], descr: str, data: bytes) -> bytes:
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data


def members(path: Path, **arrays: bytes) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return f"npz:{path}"


PIXELS = npy((4, 8, 8), "|u1", bytes(256))
LABELS = npy((4,), "<i8", np.array([0, 1, 0, 1]).tobytes())


@pytest.mark.parametrize(
    "arrays",
    [
        {"train_images": npy((10**12, 8, 8), "|u1", bytes(256)), "train_labels": LABELS},
        {"train_images": npy((2**40, 2**40, 8), "|u1", bytes(256)), "train_labels": LABELS},
        {"train_images": npy((-4, 8, 8), "|u1", bytes(256)), "train_labels": LABELS},
        {"train_images": PIXELS, "train_labels": npy((2**40,), "<i8", bytes(32))},
        {"train_images": PIXELS, "train_labels": npy((10**6,), "|u1", bytes(10**6))},
        {"train_images": PIXELS, "train_labels": LABELS, "classes": npy((2**40,), "<U9", bytes(36))},
        {"train_images": PIXELS, "train_labels": npy((4,), "|O", bytes(32))},
        {"train_images": b"\x93NUMPY\x09\x00" + PIXELS[8:], "train_labels": LABELS},
        {"train_images": PIXELS[:70], "train_labels": LABELS},
    ],
    ids=["58 TiB", "overflow", "negative", "2^40 labels", "zeros", "classes", "objects", "version", "cut"],
)
def test_what_a_header_claims_is_checked_before_it_is_believed(tmp_path: Path, arrays: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match=r"a\.npz"):
        load(members(tmp_path / "a.npz", **arrays))


def test_zeros_that_unpack_to_more_than_a_data_set_may_take_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = members(tmp_path / "a.npz", train_images=npy((4, 1000, 1000), "|u1", bytes(4 * 10**6)), train_labels=LABELS)
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", "2MB")
    with pytest.raises(DataError, match=r"train_images: unpacks to 4,000,000 bytes\. Allowed: 2,000,000\. More is allowed"):
        load(name)
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", "much")
    with pytest.raises(UsageError, match="DCDNAS_DATA_LIMIT=much: no number of bytes"):
        load(name)


@pytest.mark.parametrize("flag", [1, 32], ids=["encrypted", "patch data"])
def test_a_member_that_cannot_be_unpacked_is_said(tmp_path: Path, flag: int) -> None:
    name = members(tmp_path / "a.npz", train_images=PIXELS, train_labels=LABELS)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= flag
    content[content.find(b"PK\x03\x04") + 6] |= flag
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: damaged, or no NumPy archive"):
        load(name)
