"""Folders of pictures: decoded once into one mapped file, whatever happens in between."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcdnas.data import _decoded, load, load_test
from dcdnas.errors import DataError

COLOURS = {"cat": (250, 10, 20), "dog": (10, 240, 30)}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three cats and two dogs of one colour each to learn from, one of each to test on."""
    for part, counts in {"train": {"cat": 3, "dog": 2}, "val": {"cat": 1, "dog": 1}}.items():
        for name, count in counts.items():
            folder = tmp_path / "set" / part / name
            folder.mkdir(parents=True)
            for n in range(count):
                Image.new("RGB", (40 + n, 30), COLOURS[name]).save(folder / f"{n}.{'JPEG' if n else 'png'}")
    return tmp_path / "set"


def test_pictures_become_squares_of_the_resolution_with_the_label_of_their_folder(root: Path) -> None:
    images = load(f"folder:{root}", 16)
    assert (images.classes, images.labels.tolist(), images.shape) == (("cat", "dog"), [0, 0, 0, 1, 1], (3, 16, 16))
    for pixels, label in zip(images.pixels, images.labels, strict=True):
        colour = torch.tensor(COLOURS[images.classes[label]])
        assert (pixels.int() - colour[:, None, None]).abs().max() <= 3


def test_without_a_resolution_it_is_224(root: Path) -> None:
    assert load(f"folder:{root}").shape == (3, 224, 224)


def test_the_middle_of_a_picture_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert _decoded.decode(("wide", tmp_path / "wide.png"), 10).min() == 255


def test_pictures_without_colours_are_read_as_colours(tmp_path: Path) -> None:
    for mode in ("L", "P", "RGBA", "1", "CMYK"):
        path = tmp_path / f"{mode}.{'tiff' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (9, 9)).save(path)
        assert _decoded.decode((mode, path), 8).shape == (3, 8, 8)


def test_val_is_the_test_part_where_test_has_no_class_folders(root: Path) -> None:
    (root / "test").mkdir()
    Image.new("RGB", (8, 8)).save(root / "test" / "unlabelled.png")
    assert load_test(load(f"folder:{root}", 8)).labels.tolist() == [0, 1]


def test_a_folder_without_a_test_part_can_be_searched_on(root: Path) -> None:
    (root / "val").rename(root / "other")
    images = load(f"folder:{root}", 8)
    with pytest.raises(DataError, match="has neither test/CLASS nor val/CLASS"):
        load_test(images)


def test_pictures_are_decoded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(f"folder:{root}", 16)
    monkeypatch.setattr(_decoded, "decode", lambda *_: pytest.fail("decoded again"))
    assert torch.equal(load(f"folder:{root}", 16).pixels, first.pixels)


def test_a_changed_picture_is_decoded_again(root: Path) -> None:
    load(f"folder:{root}", 16)
    Image.new("RGB", (40, 30), (1, 2, 3)).save(root / "train" / "dog" / "0.png")
    assert load(f"folder:{root}", 16).pixels[3, :, 8, 8].tolist() == [1, 2, 3]


def test_writing_to_the_images_never_reaches_the_file(root: Path) -> None:
    load(f"folder:{root}", 16).pixels.zero_()
    assert load(f"folder:{root}", 16).pixels.any()


def test_two_trainings_at_once_decode_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = _decoded.decode, []
    monkeypatch.setattr(_decoded, "decode", lambda *a: (calls.append(a), plain(*a))[1])
    threads = [threading.Thread(target=load, args=(f"folder:{root}", 16)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 5


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "cut"])
def test_a_damaged_picture_is_named_and_leaves_no_file_behind(root: Path, own_cache: Path, content: bytes | None) -> None:
    path = root / "train" / "cat" / "1.JPEG"
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(DataError, match=r"cat/1.JPEG: no readable picture"):
        load(f"folder:{root}", 16)
    assert list(own_cache.iterdir()) == []


def test_a_full_disk_says_how_much_is_needed_and_leaves_no_file_behind(
    root: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device. Needed: 0 MB; make room or set DCDNAS_CACHE"):
        load(f"folder:{root}", 16)
    assert list(own_cache.iterdir()) == []


def test_a_damaged_file_of_decoded_pictures_is_named(root: Path, own_cache: Path) -> None:
    load(f"folder:{root}", 16)
    (file,) = own_cache.glob("*.npy")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataError, match="Delete it; it is made again"):
        load(f"folder:{root}", 16)


def test_a_folder_without_classes_or_pictures_says_what_is_needed(root: Path) -> None:
    (root / "train" / "eel").mkdir()
    with pytest.raises(DataError, match="eel: has no pictures"):
        load(f"folder:{root}", 8)
    with pytest.raises(DataError, match=r"no such folder\. Needed: CLASS/\*\.jpg, or train/CLASS"):
        load(f"folder:{root / 'nowhere'}", 8)
    (root / "empty" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="has no class folders"):
        load(f"folder:{root / 'empty'}", 8)


def test_a_class_that_only_the_test_part_has_is_refused(root: Path) -> None:
    (root / "val" / "eel").mkdir()
    with pytest.raises(DataError, match=r"val/eel: no such class"):
        load_test(load(f"folder:{root}", 8))


def test_hidden_folders_and_other_files_are_no_classes_or_pictures(root: Path) -> None:
    (root / "train" / ".cache").mkdir()
    (root / "train" / "cat" / "readme.txt").write_text("cats")
    assert load(f"folder:{root}", 8).labels.tolist() == [0, 0, 0, 1, 1]


def test_of_some_classes_only_those_are_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ant", "bee", "eel"):
        for part in ("train", "val"):
            (root / part / name).mkdir()
            (root / part / name / "0.png").write_bytes(b"not looked at")
    for name in ("ant", "dog"):  # of ant, bee, cat, dog, eel
        for part in ("train", "val"):
            Image.new("RGB", (8, 8), (9, 9, 9)).save(root / part / name / "0.png")
    (root / "val" / "ant" / "1.png").write_bytes((root / "val" / "ant" / "0.png").read_bytes())
    (root / "train" / "cat" / "0.png").write_bytes(b"not looked at")
    plain, calls = _decoded.decode, []
    monkeypatch.setattr(_decoded, "decode", lambda *a: (calls.append(a), plain(*a))[1])
    with pytest.raises(DataError, match="no readable picture"):
        load(f"folder:{root}", 8, 3)  # ant, bee, dog
    calls.clear()
    Image.new("RGB", (8, 8)).save(root / "train" / "cat" / "0.png")
    images = load(f"folder:{root}", 8, 2)
    assert (images.classes, images.labels.tolist()) == (("ant", "cat"), [0, 1, 1, 1])
    assert len(calls) == 4
    test = load_test(images)
    assert (test.classes, test.labels.tolist()) == (("ant", "cat"), [0, 0, 1])


def test_a_link_to_nothing_and_a_pipe_are_named_as_damaged_pictures(root: Path) -> None:
    (root / "train" / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "train" / "dog" / "pipe.png")
    with pytest.raises(DataError, match=r"(?s)gone.png: no readable picture.*pipe.png: no readable picture.*2 of 7 pictures"):
        load(f"folder:{root}", 8)
    images = load(f"folder:{root}", 8, skip_damaged=2)
    assert images.labels.tolist() == [0, 0, 0, 1, 1]
    assert [reason.partition(":")[0].rpartition("/")[2] for reason in images.damaged] == ["gone.png", "pipe.png"]


def test_folders_that_are_not_used_are_said(root: Path) -> None:
    (root / "test").mkdir()  # has no class folders, so val is the test part
    (root / "notes" / "cat").mkdir(parents=True)
    assert "left out: the folder notes, the folder test" in load(f"folder:{root}", 8).notes
