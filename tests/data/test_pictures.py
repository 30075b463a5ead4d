"""What becomes of pictures: every mode and depth as a viewer shows it, or a refusal that names the file."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from thoroughness import examples

from dcdnas.data import _picture, load, load_test, tolerated
from dcdnas.data._limits import Allowance
from dcdnas.data._picture import FORMATS, SUFFIXES, Depth, decode, depth_of, facts, size_of
from dcdnas.errors import DataError, UsageError

RAMP = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1))


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_set(root: Path, picture: Image.Image, suffix: str = "png", **options: Any) -> str:
    """Two classes of two pictures to learn from and to test on."""
    for part in ("train", "test"):
        for name in ("a", "b"):
            (root / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(2):
                picture.save(root / part / name / f"{number}.{suffix}", **options)
    return f"folder:{root}"


def pixels_of(path: Path, picture: Image.Image, side: int = 32, **options: Any) -> NDArray[Any]:
    picture.save(path, **options)
    return decode((path.name, path), side)


def ramp(top: float, dtype: Any) -> Image.Image:
    return Image.fromarray((RAMP.astype(np.float64) / 255 * top).round(8 if dtype == np.float32 else 0).astype(dtype))


@pytest.mark.parametrize(
    ("top", "dtype", "suffix"),
    [
        *[(65535, np.uint16, s) for s in ("png", "tiff", "pgm")],
        *[(top, np.uint16, s) for top in (255, 1023, 4095, 16383) for s in ("png", "tiff")],
        *[(top, np.int32, "tiff") for top in (255, 4095, 65535, 2**24 - 1, 2**31 - 1)],
        *[(top, np.float32, "tiff") for top in (1.0, 255.0, 65535.0)],
    ],
)
def test_grey_of_any_depth_is_the_same_ramp(tmp_path: Path, top: float, dtype: Any, suffix: str) -> None:
    images = load(write_set(tmp_path / "set", ramp(top, dtype), suffix), 32)
    allowed = 128 if top == 2**31 - 1 else 2  # the largest of 31 bits is half of 32
    assert np.abs(images.pixels[0].numpy().astype(int) - RAMP).max() <= allowed
    assert len(np.unique(images.pixels[0, 0])) >= 31
    assert any("more than 8 bits" in note for note in images.notes)
    assert depth_of(images.grey_range).most == images.grey_range  # type: ignore[union-attr]


def test_one_range_scales_all_pictures_of_both_parts(tmp_path: Path) -> None:
    name = write_set(tmp_path / "set", ramp(4095, np.uint16))
    ramp(1000, np.uint16).save(tmp_path / "set/train/a/1.png")
    ramp(900, np.uint16).save(tmp_path / "set/test/a/0.png")
    images = load(name, 32)
    test = load_test(images)
    assert (images.pixels[0].max(), images.pixels[1].max(), test.pixels[0].max()) == (255, 62, 56)


@pytest.mark.parametrize("decoded", [None, 0], ids=["decoded at once", "decoded on demand"])
def test_a_given_range_scales_all_pictures_of_both_parts(tmp_path: Path, own_cache: Path, decoded: int | None) -> None:
    name = write_set(tmp_path / "set", ramp(4095, np.uint16))
    for number in range(2):
        Image.new("L", (32, 32), 77).save(tmp_path / f"set/test/b/{number}.png")
    own, wider = load(name, 32, decoded=decoded), load(name, 32, decoded=decoded, grey_range=65535.0)
    assert (own.grey_range, wider.grey_range) == (4095, 65535)
    for images, most in ((own, 255), (load_test(own), 255), (wider, 16), (load_test(wider), 16)):
        assert images.batch(torch.tensor([0]))[0].max() == most
        assert any(f"0 to {images.grey_range:g} is read as 0 to 255" in note for note in images.notes)
    assert load_test(wider).batch(torch.tensor([2]))[0].unique().tolist() == [77]
    assert wider.mean[0] == pytest.approx(own.mean[0] / 16, abs=0.01)
    assert pickle.loads(pickle.dumps(wider)).grey_range == 65535
    assert torch.equal(load(name, 32, decoded=decoded).batch(torch.arange(4))[0], own.batch(torch.arange(4))[0])


@pytest.mark.parametrize("decoded", [None, 0], ids=["decoded at once", "decoded on demand"])
def test_a_given_range_that_is_no_usual_depth_is_not_rounded(tmp_path: Path, decoded: int | None) -> None:
    name = write_set(tmp_path / "set", ramp(4095, np.uint16))
    for given_range, most in ((10_000.0, 104), (16_383.0, 64), (5_000.5, 209)):
        train = load(name, 32, decoded=decoded, grey_range=given_range)
        for images in (train, load_test(train)):
            assert images.grey_range == given_range
            assert images.batch(torch.tensor([0]))[0].max() == most
            assert any(f"grey of more than 8 bits: 0 to {given_range:g} is read as 0 to 255" in note for note in images.notes)


def test_a_given_range_that_is_the_own_one_needs_no_further_file(tmp_path: Path, own_cache: Path) -> None:
    name = write_set(tmp_path / "set", ramp(4095, np.uint16))
    load_test(load(name, 8))
    before = sorted(own_cache.iterdir())
    load_test(load(name, 8, grey_range=4095.0))
    assert sorted(own_cache.iterdir()) == before
    load(name, 8, grey_range=65535.0)
    assert len([path for path in own_cache.iterdir() if path.suffix == ".npy"]) == 3


def test_the_range_reaches_a_test_part_whose_training_part_is_not_deep(tmp_path: Path) -> None:
    name = write_set(tmp_path / "set", Image.new("L", (32, 32), 77))
    ramp(4095, np.uint16).save(tmp_path / "set/test/a/0.png")
    assert (load(name, 32).grey_range, load_test(load(name, 32)).grey_range) == (None, 4095)
    test = load_test(load(name, 32, grey_range=65535.0))
    assert (test.grey_range, int(test.pixels[0].max())) == (65535, 16)


def test_white_is_zero_where_a_tiff_says_so(tmp_path: Path) -> None:
    found = pixels_of(tmp_path / "a.tiff", ramp(65535, np.uint16), tiffinfo={262: 0})
    assert np.abs(found[0].astype(int) - (255 - RAMP)).max() <= 1


@pytest.mark.parametrize("decoded", [None, 0], ids=["decoded at once", "decoded on demand"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((8, 8), -3, np.int32), "grey values from -3 to -3; allowed are numbers from 0 on"),
        (np.full((8, 8), np.nan, np.float32), "grey values from nan"),
        (np.full((8, 8), np.inf, np.float32), "grey values from inf"),
        (np.full((8, 8), 1e9, np.float32), r"up to 1e\+09; allowed are 0 to 1"),
    ],
)
def test_grey_values_that_say_no_brightness_are_refused(
    tmp_path: Path, values: NDArray[Any], message: str, decoded: int | None
) -> None:
    name = write_set(tmp_path / "set", Image.fromarray(values), "tiff")
    with pytest.raises(DataError, match=rf"a/0\.tiff: no readable picture \(.*{message}"):
        load(name, 8, decoded=decoded)


@pytest.mark.parametrize("decoded", [None, 0], ids=["decoded at once", "decoded on demand"])
def test_a_test_part_of_which_the_grey_values_fit_no_range_is_refused(tmp_path: Path, decoded: int | None) -> None:
    name = write_set(tmp_path / "set", Image.new("L", (8, 8), 77), "tiff")
    Image.fromarray(np.full((8, 8), 1e9, np.float32)).save(tmp_path / "set/test/b/1.tiff")
    train = load(name, 8, decoded=decoded)
    with pytest.raises(DataError, match=r"test/b/1\.tiff: no readable picture \(floating-point grey values up to 1e\+09"):
        load_test(train)


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]


@examples(60)
@given(st.sampled_from(MODES), st.sampled_from(["png", "tiff"]), st.integers(0, 255), st.integers(0, 255))
def test_a_picture_of_one_brightness_keeps_it_in_every_mode(mode: str, suffix: str, value: int, other: int) -> None:
    grey = np.full((9, 9), value, np.uint8)
    made = {"I;16": grey.astype(np.uint16) * 257, "I": grey.astype(np.int32), "F": grey.astype(np.float32)}
    picture = Image.fromarray(made[mode]) if mode in made else Image.fromarray(grey).convert(mode)
    with tempfile.TemporaryDirectory() as folder:
        try:
            picture.save(Path(folder) / f"a.{suffix}")
        except OSError:
            return  # no such mode in this format
        depth = {"I;16": Depth(65535), "I": Depth(255), "F": Depth(255, True)}.get(mode)
        found = decode(("a", Path(folder) / f"a.{suffix}"), 8, depth)
    expected = 255 * (value > 127) if mode == "1" else value
    assert found.shape == (3, 8, 8)
    assert found.min() == found.max() or mode == "1"
    if mode != "1":
        assert abs(int(found[0, 4, 4]) - expected) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_a_picture_is_turned_as_its_tag_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    picture = Image.new("RGB", (64, 64), "black")
    picture.paste("white", (0, 0, 64, 32))
    picture.paste("red", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = pixels_of(tmp_path / f"a.{suffix}", picture, 64, exif=exif)
    with Image.open(tmp_path / f"a.{suffix}") as saved:
        want = np.asarray(ImageOps.exif_transpose(saved).convert("RGB")).transpose(2, 0, 1)
    assert np.abs(found.astype(int) - want).mean() < 3
    assert facts(("a", tmp_path / f"a.{suffix}")).turned == (orientation > 1)


@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 20)), (3, (40, 20)), (6, (20, 40))])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_the_size_of_a_turned_picture_is_that_of_what_is_shown(
    tmp_path: Path, suffix: str, orientation: int, size: tuple[int, int]
) -> None:
    exif, path = Image.Exif(), tmp_path / f"a.{suffix}"
    exif[0x0112] = orientation
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    found = facts(("a", path))
    assert (found.width, found.height) == size_of(("a", path)) == size


@pytest.mark.parametrize("colour", [0, 128, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "gif"])
def test_a_shape_that_only_its_alpha_has_can_be_seen(tmp_path: Path, colour: int, mode: str, suffix: str) -> None:
    flat = np.full((32, 32), colour, np.uint8)
    alpha = np.where(RAMP > 127, 255, 0).astype(np.uint8) if suffix == "gif" else RAMP
    picture = Image.fromarray(np.dstack([flat, flat, flat, alpha]))
    if mode == "LA":
        picture = picture.convert("LA")
    if mode == "P" and suffix in ("png", "webp"):
        picture = picture.quantize(8)
    if suffix == "gif":
        picture = picture.convert("RGBA")
    found = pixels_of(tmp_path / f"a.{suffix}", picture)
    assert found.max() - found.min() > 60


def test_only_pictures_whose_transparency_is_used_are_said_to_have_it(tmp_path: Path) -> None:
    lab = Image.merge("LAB", [Image.new("L", (8, 8), value) for value in (120, 128, 128)])
    lab.save(tmp_path / "lab.tiff")
    ramp(65535, np.uint16).save(tmp_path / "deep.png")
    content = (tmp_path / "deep.png").read_bytes()
    chunk = b"tRNS" + struct.pack(">H", 0)
    cut = content.index(b"IDAT") - 4
    content = content[:cut] + struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[cut:]
    (tmp_path / "deep.png").write_bytes(content)
    with Image.open(tmp_path / "deep.png") as opened:
        assert "transparency" in opened.info
    Image.new("L", (8, 8), 9).save(tmp_path / "grey.png", transparency=9)
    found = {path.name: facts((path.name, path)).alpha for path in tmp_path.iterdir() if path.is_file()}
    assert found == {"lab.tiff": False, "deep.png": False, "grey.png": True}
    shown = decode(("lab.tiff", tmp_path / "lab.tiff"), 8)[:, 0, 0].tolist()
    assert shown == list(lab.convert("RGB").getpixel((0, 0)))  # type: ignore[arg-type]


def test_an_opaque_picture_and_one_that_is_all_transparent_keep_their_colours(tmp_path: Path) -> None:
    for alpha in (255, 0):
        picture = Image.fromarray(np.dstack([RAMP, RAMP, RAMP, np.full((32, 32), alpha, np.uint8)]))
        assert np.abs(pixels_of(tmp_path / "a.png", picture)[0].astype(int) - RAMP).max() <= 1


def test_a_palette_and_one_colour_that_is_transparent_are_shown(tmp_path: Path) -> None:
    picture = Image.fromarray(np.repeat(RAMP[..., None], 3, 2)).quantize(32)
    assert np.abs(pixels_of(tmp_path / "a.png", picture)[0].astype(int) - RAMP).max() <= 8
    found = pixels_of(tmp_path / "b.png", Image.fromarray(RAMP), transparency=0)
    assert found[0, 0, 0] == 255


def test_a_colour_picture_of_16_bits_is_read_by_its_upper_8_and_that_is_said(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + np.repeat(row.astype(">u2") * 257, 3).astype(">u2").tobytes() for row in RAMP)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    name = write_set(tmp_path / "set", Image.fromarray(RAMP))
    for path in (tmp_path / "set").rglob("*.png"):
        path.write_bytes(content)
    images = load(name, 32)
    assert np.abs(images.pixels[0, 0].numpy().astype(int) - RAMP).max() <= 1
    assert "of 16-bit colours only the upper 8 bits are read" in images.notes


def test_an_8_bit_tiff_has_8_bits_wherever_its_pixels_are_in_the_file() -> None:
    positions = set()
    for height in range(1, 80):
        content = io.BytesIO()
        noise = np.random.default_rng(height).integers(256, size=(height, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(content, "TIFF", compression="tiff_lzw")
        assert facts(("a.tiff", content.getvalue())).mode == "RGB"
        positions |= {"16" in str(tile.args[2]) for tile in Image.open(content).tile}  # type: ignore[attr-defined]
    assert positions == {True, False}


@pytest.mark.parametrize("kind", [b"P3", b"P6"])
@pytest.mark.parametrize(("most", "mode"), [(160, "RGB"), (255, "RGB"), (1023, "RGB of 16 bits"), (65535, "RGB of 16 bits")])
def test_a_ppm_has_the_bits_that_its_largest_value_needs(kind: bytes, most: int, mode: str) -> None:
    pixel = b"1 2 3\n" if kind == b"P3" else bytes(6 if most > 255 else 3)
    assert facts(("a.ppm", kind + b" 1 1 %d\n" % most + pixel)).mode == mode


def test_several_frames_are_said_and_the_first_is_read(tmp_path: Path) -> None:
    name = write_set(tmp_path / "set", Image.fromarray(RAMP), "gif", save_all=True, append_images=[Image.new("L", (32, 32))])
    images = load(name, 32)
    assert np.abs(images.pixels[0, 0].numpy().astype(int) - RAMP).max() <= 8
    assert "4 of several frames, of which the first is read" in images.notes


# What is in a folder


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "pgm", "pbm", "pnm", "JPG", "Tif"])
def test_a_picture_is_read_whatever_its_suffix(tmp_path: Path, suffix: str) -> None:
    name = write_set(tmp_path / "set", Image.fromarray(RAMP))
    kind = {"jfif": "JPEG", "jpe": "JPEG", "JPG": "JPEG", "Tif": "TIFF"}.get(suffix, "PPM")
    Image.fromarray(RAMP).save(tmp_path / "set" / "train" / "a" / f"x.{suffix}", kind)
    assert len(load(name, 8)) == 5
    assert f".{suffix.lower()}" in SUFFIXES


def test_pictures_in_folders_and_behind_links_belong_to_their_class_and_loops_end(tmp_path: Path) -> None:
    name = write_set(tmp_path / "set", Image.fromarray(RAMP))
    more = tmp_path / "set" / "train" / "a" / "more" / "deep"
    more.mkdir(parents=True)
    Image.fromarray(RAMP).save(more / "x.png")
    (more / "loop").symlink_to(tmp_path / "set" / "train" / "a", target_is_directory=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.fromarray(RAMP).save(elsewhere / "y.png")
    (more / "linked").symlink_to(elsewhere, target_is_directory=True)
    assert load(name, 8).labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    name = write_set(tmp_path / "set", Image.fromarray(RAMP))
    for file in ("train/a/x.heic", "train/a/y.heic", "train/b/notes.txt", "train/b/plain"):
        (tmp_path / "set" / file).write_text("no picture")
    Image.fromarray(RAMP).save(tmp_path / "set" / "train" / "loose.png")
    images = load(name, 8)
    assert "left out: 2 .heic, 1 .txt, 1 without a suffix, 1 outside the class folders" in images.notes
    assert images.notes[0] == "4 pictures of 32x32: 4 L"
    assert load_test(images).notes == ("4 pictures of 32x32: 4 L",)


def test_a_name_that_is_no_utf_8_is_read_and_can_be_printed(tmp_path: Path) -> None:
    name = write_set(tmp_path / "set", Image.fromarray(RAMP))
    odd = os.fsencode(tmp_path / "set/train/a") + b"/bleu\xe9.png"
    os.rename(tmp_path / "set/train/a/0.png", odd)
    os.rename(tmp_path / "set/train/b", os.fsencode(tmp_path / "set/train") + b"/b\xe9")
    os.rename(tmp_path / "set/test/b", os.fsencode(tmp_path / "set/test") + b"/b\xe9")
    images = load(name, 8)
    assert (len(images), images.classes) == (4, ("a", "b\\xe9"))
    assert len(load_test(images)) == 4
    with open(odd, "wb") as file:
        file.write(b"broken")
    with pytest.raises(DataError) as refused:
        load(name, 8)
    assert "bleu\\xe9.png: no readable picture" in str(refused.value).encode().decode()


def test_a_data_set_whose_own_name_is_no_text_is_refused() -> None:
    for name in (os.fsdecode(b"folder:/b\xe9"), "folder:/a\0b"):
        with pytest.raises(UsageError, match="not UTF-8 text"):
            load(name)


def test_class_folders_alone_are_split_the_same_way_every_time(tmp_path: Path) -> None:
    for name, count in {"a": 10, "b": 5, "c": 1}.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (8, 8), 20 * number).save(tmp_path / "set" / name / f"{number}.png")
    images = load(f"folder:{tmp_path / 'set'}", 8)
    test = load_test(images)
    assert images.labels.bincount().tolist() == [8, 4, 1]
    assert test.labels.bincount().tolist() == [2, 1]
    values = [{(int(v), int(c)) for v, c in zip(p.pixels[:, 0, 0, 0], p.labels, strict=True)} for p in (images, test)]
    assert not values[0] & values[1]
    assert len(values[0] | values[1]) == 16
    assert any(note.startswith("no folder train: 20 % of each class, the same ones every time") for note in images.notes)
    Image.new("L", (8, 8), 255).save(tmp_path / "set" / "a" / "new.png")
    again = load_test(load(f"folder:{tmp_path / 'set'}", 8))
    assert len({(int(v), int(c)) for v, c in zip(again.pixels[:, 0, 0, 0], again.labels, strict=True)} - values[1]) <= 1


def test_one_class_folder_or_a_test_part_alone_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "set" / "images" / "cat").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "set" / "images" / "cat" / "0.png")
    with pytest.raises(DataError, match=r"has one class folder, images\. Needed: two or more"):
        load(f"folder:{tmp_path / 'set'}", 8)
    (tmp_path / "other" / "val" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="has no folder train beside val"):
        load(f"folder:{tmp_path / 'other'}", 8)


@pytest.mark.parametrize(("train", "test"), [("training", "testing"), ("Train", "Valid"), ("train", "validation")])
def test_parts_may_have_other_usual_names(tmp_path: Path, train: str, test: str) -> None:
    name = write_set(tmp_path / "set", Image.fromarray(RAMP))
    (tmp_path / "set" / "train").rename(tmp_path / "set" / train)
    (tmp_path / "set" / "test").rename(tmp_path / "set" / test)
    assert len(load_test(load(name, 8))) == 4


# Damaged pictures


def damaged_set(tmp_path: Path, count: int = 20, broken: int = 4) -> tuple[str, list[str]]:
    for name in ("a", "b"):
        (tmp_path / "set" / "train" / name).mkdir(parents=True)
        for number in range(count // 2):
            Image.fromarray(RAMP).save(tmp_path / "set" / "train" / name / f"{number:02}.png")
    files = [str(f) for f in sorted((tmp_path / "set").rglob("*.png"))][1 :: count // broken]
    for number, file in enumerate(files):
        content = Path(file).read_bytes()
        Path(file).write_bytes([b"", b"text", content[: len(content) // 2], content[:20]][number % 4])
    return f"folder:{tmp_path / 'set'}", files


def test_all_damaged_pictures_are_named_at_once(tmp_path: Path) -> None:
    name, files = damaged_set(tmp_path)
    with pytest.raises(DataError, match=r"4 of 20 pictures cannot be read; `--skip-damaged 1%`") as refused:
        load(name, 8)
    assert all(f"{file}: no readable picture" in str(refused.value) for file in files)


@pytest.mark.parametrize(("skip", "enough"), [(0.19, False), (0.2, True), (3, False), (4, True)])
def test_damaged_pictures_are_left_out_up_to_a_bound_and_said(tmp_path: Path, skip: float, enough: bool) -> None:
    name, files = damaged_set(tmp_path)
    if not enough:
        with pytest.raises(DataError, match="4 of 20 pictures cannot be read; 3 may be left out"):
            load(name, 8, skip_damaged=skip)
        return
    for _ in range(2):  # decoded, and out of the cache
        images = load(name, 8, skip_damaged=skip)
        assert (len(images), images.labels.tolist()) == (16, [0] * 8 + [1] * 8)
        assert [d.partition(":")[0] for d in images.damaged] == files
        assert any(note.startswith("4 damaged left out: ") for note in images.notes)
        assert (images.pixels == images.pixels[0]).all()
    with pytest.raises(DataError, match="cannot be read"):
        load(name, 8)


@pytest.mark.parametrize(
    ("percent", "count", "allowed"), [(0.7, 1000, 7), (29, 100, 29), (1, 250, 2), (0.99, 100, 0), (1, 50, 0)]
)
def test_a_share_of_whole_pictures_allows_them_all(percent: float, count: int, allowed: int) -> None:
    assert tolerated(percent / 100, count) == allowed


@pytest.mark.parametrize("skip", [-1, float("nan"), float("inf")])
def test_a_bound_that_is_none_is_refused(skip: float) -> None:
    with pytest.raises(UsageError, match="skip_damaged cannot be"):
        load("fashion-mini", skip_damaged=skip)


def test_a_damaged_summary_in_the_cache_is_named(tmp_path: Path, own_cache: Path) -> None:
    name = write_set(tmp_path / "set", Image.fromarray(RAMP))
    load(name, 8)
    (file,) = own_cache.glob("*.npy")
    pixels = file.read_bytes()[: 128 + 4 * 3 * 8 * 8]
    for content in (b"", b"[]", json.dumps({"damaged": 3}).encode(), b"\xff"):
        for length in (len(content), 2**62):
            file.write_bytes(pixels + content + length.to_bytes(8))
            with pytest.raises(DataError, match="Delete it; it is made again"):
                load(name, 8)


# Limits


def test_only_some_formats_are_tried(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match=rf"no {', '.join(FORMATS[:-1])} or GIF"):
        decode(("a.png", tmp_path / "a.png"), 8)


def test_a_picture_that_decodes_to_more_than_all_may_take_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_picture, "_ALLOWANCE", Allowance(32 * 32 * 4))
    assert pixels_of(tmp_path / "a.png", Image.new("RGB", (32, 32)), 8).shape == (3, 8, 8)
    for suffix in ("png", "tiff", "bmp", "webp"):
        with pytest.raises(DataError, match=r"decodes to [0-9,]+ bytes, allowed are 4,096"):
            pixels_of(tmp_path / f"b.{suffix}", Image.new("RGB", (32, 33)), 8)
    assert pixels_of(tmp_path / "c.jpg", Image.new("RGB", (64, 64)), 8).shape == (3, 8, 8), "a JPEG is decoded smaller"


def test_threads_never_take_more_than_the_allowance_together() -> None:
    import threading

    allowance, taken, most, lock = Allowance(10), 0, 0, threading.Lock()

    def work() -> None:
        nonlocal taken, most
        for _ in range(50):
            with allowance.of(4):
                with lock:
                    taken += 4
                    most = max(most, taken)
                with lock:
                    taken -= 4

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4 <= most <= 8
    with pytest.raises(ValueError, match="decodes to 11 bytes"), allowance.of(11):
        pass
