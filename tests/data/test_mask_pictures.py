"""Masks as PNG files: the values are classes, the palette is that of PASCAL VOC, and they lie where the network looked."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from dcdnas.data import UNLABELLED, colour, mask_png, size_of
from dcdnas.errors import DataError

MASK = np.array([[0, 1], [2, 254]], np.uint8)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, (0, 0, 0)), (1, (128, 0, 0)), (3, (128, 128, 0)), (8, (64, 0, 0)), (15, (192, 128, 128)), (255, (224, 224, 192))],
)
def test_the_colours_are_those_of_pascal_voc(number: int, expected: tuple[int, int, int]) -> None:
    assert colour(number) == expected


def test_every_class_has_a_colour_of_its_own() -> None:
    assert len({colour(number) for number in range(UNLABELLED + 1)}) == 256


@pytest.mark.parametrize("size", [(2, 2), (7, 4), (4, 9), (1, 3)])
def test_a_mask_covers_the_central_square_of_its_picture(size: tuple[int, int]) -> None:
    picture = Image.open(io.BytesIO(mask_png(MASK, size)))
    assert (picture.mode, picture.size) == ("P", size)
    values, side = np.asarray(picture), min(size)
    top, left = (size[1] - side) // 2, (size[0] - side) // 2
    square = values[top : top + side, left : left + side].copy()
    if side == 4:
        assert np.array_equal(square, MASK.repeat(2, 0).repeat(2, 1))
    assert set(square.flatten()) <= set(MASK.flatten())
    values = values.copy()
    values[top : top + side, left : left + side] = UNLABELLED
    assert (values == UNLABELLED).all()
    assert picture.convert("RGB").getpixel((left, top)) == colour(int(square[0, 0]))


@pytest.mark.parametrize(
    ("size", "box"), [((6, 2), (1, 0, 5, 2)), ((4, 2), (0, 0, 4, 2)), ((8, 8), (0, 2, 8, 6)), ((3, 40), (0, 19, 3, 21))]
)
def test_a_mask_that_is_not_square_covers_the_largest_region_of_its_shape(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    values = np.asarray(Image.open(io.BytesIO(mask_png(np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.uint8), size))))
    left, top, right, bottom = box
    assert (values != UNLABELLED).sum() == (right - left) * (bottom - top)
    assert (values[top:bottom, left:right] != UNLABELLED).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_size_is_that_of_the_upright_picture(tmp_path: Path, format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("RGB", (7, 4)).save(tmp_path / "a", format, exif=exif)
    with Image.open(tmp_path / "a") as opened:
        assert size_of(("a", tmp_path / "a")) == ImageOps.exif_transpose(opened).size


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.png: no readable picture"):
        size_of(("a.png", tmp_path / "a.png"))


@pytest.mark.parametrize("size", [(1, 30), (1, 1), (30, 1)])
def test_a_narrow_picture_has_a_mask_too(size: tuple[int, int]) -> None:
    for shape in ((2, 32), (32, 2)):
        values = np.asarray(Image.open(io.BytesIO(mask_png(np.zeros(shape, np.uint8), size))))
        assert values.shape == size[::-1]
        assert (values == 0).any()
