"""Pictures that are read as they are needed: the same images as decoded ones, crops of their own pixels, damage, bounds."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dcdnas.data import TRIES, Crops, Images, _streamed, load, load_test, split
from dcdnas.data._picture import ORIENTATION, decode
from dcdnas.data._streamed import Streamed
from dcdnas.errors import DataError

SIDE = 16


def smooth(height: int, width: int, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def saved(picture: Image.Image, path: Path, turned: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[ORIENTATION] = turned
    picture.save(path, **({"exif": exif, "quality": 95} if path.suffix == ".jpg" else {}))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG and PNG files of several sizes, some turned, in two classes; a grey one of 16 bits among them."""
    root = tmp_path_factory.mktemp("pictures")
    for number in range(24):
        kind = "png" if number % 3 == 0 else "jpg"
        picture = smooth(40 + number, 90 - number, number)
        for part in ("train", "test"):
            saved(picture, root / part / "ab"[number % 2] / f"{number}.{kind}", 6 if number % 5 == 0 else 1)
    deep = np.linspace(0, 40_000, 60 * 50).reshape(60, 50).astype(np.uint16)
    saved(Image.fromarray(deep), root / "train/a/deep.png")
    return root


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of its own, to damage."""
    return Path(shutil.copytree(written, tmp_path / "pictures"))


def both(folder: Path) -> tuple[Images, Images]:
    name = f"folder:{folder}"
    return load(name, SIDE), load(name, SIDE, decoded=0)


def crops(count: int, smallest: float = 0.1, seed: int = 0) -> Crops:
    return Crops(torch.rand(count, TRIES, 4, generator=torch.Generator().manual_seed(seed)), smallest)


def test_they_are_the_images_that_decoding_all_at_once_gives(written: Path) -> None:
    whole, streamed = both(written)
    assert isinstance(streamed, Streamed)
    assert not isinstance(whole, Streamed)
    assert streamed.pixels.numel() == 0
    assert (len(streamed), streamed.shape, streamed.classes) == (len(whole), whole.shape, whole.classes)
    for ours, theirs in zip(split(streamed, 0.2), split(whole, 0.2), strict=True):
        rows = torch.arange(len(ours))
        for a, b in zip(ours.batch(rows), theirs.batch(rows), strict=True):
            assert torch.equal(a, b)
    assert streamed.mean == pytest.approx(whole.mean, abs=1e-9)
    assert streamed.std == pytest.approx(whole.std, abs=1e-9)
    test, whole_test = load_test(streamed), load_test(whole)
    rows = torch.arange(len(test))
    assert isinstance(test, Streamed)
    assert torch.equal(test.batch(rows)[0], whole_test.batch(rows)[0])
    assert (test.mean, test.std) == (streamed.mean, streamed.std)


def test_no_pictures_are_an_empty_batch(written: Path) -> None:
    assert both(written)[1].batch(torch.arange(0))[0].shape == (0, 3, SIDE, SIDE)


def test_what_fits_the_bound_is_decoded_at_once(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, needed = f"folder:{written}", 25 * 3 * SIDE**2
    assert not isinstance(load(name, SIDE, decoded=needed), Streamed)
    assert isinstance(load(name, SIDE, decoded=needed - 1), Streamed)
    monkeypatch.setenv("DCDNAS_DATA_LIMIT", str(needed - 1))
    assert isinstance(load(name, SIDE, decoded=needed), Streamed)
    assert len(load(name, SIDE, 2, decoded=0).classes) == 2


def test_a_crop_is_of_the_pictures_own_pixels(tmp_path: Path) -> None:
    """Of a PNG exactly what Pillow makes of that box."""
    picture = smooth(120, 200, 0)
    saved(picture, tmp_path / "a.png")
    of = crops(8)
    for number in range(8):
        left, top, width, height = of.boxes(120, 200)[number].tolist()
        box = (left, top, left + width, top + height)
        expected = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box)).transpose(2, 0, 1)
        assert np.array_equal(decode(("a", tmp_path / "a.png"), SIDE, None, of.of(number)), expected)


@pytest.mark.parametrize("turned", [1, 6])
def test_a_crop_of_a_jpeg_with_a_preview_is_that_of_the_jpeg_alone(tmp_path: Path, turned: int) -> None:
    """Pillow gives a JPEG that contains a further picture a format of its own."""
    picture, exif = smooth(700, 900, 3), Image.Exif()
    exif[ORIENTATION] = turned
    saved(picture, tmp_path / "plain.jpg", turned)
    more = {"save_all": True, "append_images": [smooth(70, 90, 4)], "exif": exif, "quality": 95}
    picture.save(tmp_path / "more.jpg", "MPO", **more)
    of = crops(6)
    for number in range(6):
        plain, same = (decode(("a picture", tmp_path / f"{name}.jpg"), SIDE, crop=of.of(number)) for name in ("plain", "more"))
        assert np.array_equal(plain, same)


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_a_crop_of_a_reduced_jpeg_is_that_of_the_whole_one_as_it_is_shown(tmp_path: Path, turned: int) -> None:
    """A JPEG of 40 times the side is decoded at a fraction of its size; turned ones are cropped upright."""
    shown = smooth(640, 480, 1)
    back = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[turned]
    saved(shown.transpose(back) if back is not None else shown, tmp_path / "a.jpg", turned)
    saved(shown, tmp_path / "a.png")
    of = crops(6)
    for number in range(6):
        ours, whole = (decode(("a", tmp_path / f"a.{kind}"), SIDE, None, of.of(number)) for kind in ("jpg", "png"))
        assert np.abs(ours.astype(int) - whole).mean() < 3


def test_batches_come_in_order_and_are_decoded_ahead_up_to_a_bound(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, images = both(written)
    assert isinstance(images, Streamed)
    monkeypatch.setattr(_streamed, "AHEAD", 8)
    begun: list[int] = []
    real = images.pictures.decoded
    monkeypatch.setattr(images.pictures, "decoded", lambda row, crop: (begun.append(row), real(row, crop))[1])
    plan = list(torch.arange(24).split(4))  # type: ignore[no-untyped-call]
    asked = images.batches((rows, crops(4, seed=number)) for number, rows in enumerate(plan))
    for number, rows in enumerate(plan):
        pixels, labels = next(asked)
        expected = images.batch(rows, crops(4, seed=number)) if number == 2 else (pixels, images.labels[rows])
        assert torch.equal(pixels, expected[0])
        assert torch.equal(labels, expected[1])
        if number == 0:
            assert len(begun) <= 4 + 8
    assert next(asked, None) is None


def test_what_is_no_picture_is_named_before_any_training(folder: Path) -> None:
    (folder / "train/a/bad.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.jpg: no readable picture"):
        load(f"folder:{folder}", SIDE, decoded=0)
    left = load(f"folder:{folder}", SIDE, skip_damaged=1, decoded=0)
    assert len(left) == 25
    assert "bad.jpg" in left.damaged[0]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def test_a_picture_whose_pixels_are_damaged_is_named_when_it_is_met(folder: Path) -> None:
    cut_short(folder / "train/b/7.jpg")
    images = load(f"folder:{folder}", SIDE, decoded=0)
    with pytest.raises(DataError, match=r"b/7\.jpg: no readable picture .*--skip-damaged 1%` allows"):
        images.batch(torch.arange(len(images)))


def test_as_many_as_may_be_are_shown_as_grey(folder: Path) -> None:
    cut_short(folder / "train/b/7.jpg")
    images = load(f"folder:{folder}", SIDE, skip_damaged=1, decoded=0)
    for _ in range(2):  # the same one again is no second one
        pixels, _ = images.batch(torch.arange(len(images)))
    grey = (pixels == _streamed.GREY).flatten(1).all(1)
    assert int(grey.sum()) == 1
    cut_short(folder / "train/b/11.jpg")
    with pytest.raises(DataError):
        images.batch(torch.arange(len(images)))


def test_an_evaluation_leaves_out_what_turns_out_damaged(folder: Path) -> None:
    for name in ("b/7.jpg", "b/11.jpg"):
        cut_short(folder / "train" / name)
    images = load(f"folder:{folder}", SIDE, skip_damaged=2, decoded=0)
    whole = load(f"folder:{folder}", SIDE, skip_damaged=2)
    assert images.met == whole.met == ()
    chunks = [torch.arange(start, min(start + 5, len(images))) for start in range(0, len(images), 5)]
    pixels, labels = (torch.cat(parts) for parts in zip(*images.intact(chunks), strict=True))
    assert torch.equal(pixels, whole.pixels)
    assert torch.equal(labels, whole.labels)
    assert [one.partition(":")[0] for one in images.met] == [str(folder / "train/b" / name) for name in ("11.jpg", "7.jpg")]
    lost = images.take(torch.tensor([row for row, path in enumerate(images.pictures.paths) if path.name == "7.jpg"]))
    with pytest.raises(DataError, match="none of the 1 pictures to evaluate on can be read"):
        list(lost.intact([torch.arange(1)]))


def test_they_travel_to_another_process_as_paths(written: Path) -> None:
    _, images = both(written)
    there: Any = copy.copy(images)
    rows = torch.arange(5)
    assert torch.equal(there.batch(rows)[0], images.batch(rows)[0])
    assert images.sample(9) == there.sample(9)
    assert images.sample(9) != images.take(torch.arange(20)).sample(9)
