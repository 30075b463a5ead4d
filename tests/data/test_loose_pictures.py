"""Pictures that belong to no data set: found in files and folders, decoded as a network takes them, named when damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from dcdnas.data import find_pictures, read_pictures
from dcdnas.errors import DataError, UsageError


def picture(path: Path, colour: tuple[int, int, int] = (200, 100, 50), size: tuple[int, int] = (6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_files_are_taken_as_named_and_folders_with_all_that_is_in_them(tmp_path: Path) -> None:
    inside = [picture(tmp_path / "in" / name) for name in ("b.png", "deep/a.JPG")]
    picture(tmp_path / "in" / ".hidden" / "c.png")
    picture(tmp_path / "in" / ".d.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    alone = tmp_path / "alone.data"
    alone.write_bytes(b"")
    assert find_pictures([alone, tmp_path / "in"]) == [alone, *inside]


def test_a_name_of_nothing_and_a_folder_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.png: no such file or folder"):
        find_pictures([tmp_path / "gone.png"])
    with pytest.raises(DataError, match=r"has no pictures. Allowed: .bmp"):
        find_pictures([tmp_path])


def test_pictures_come_in_batches_and_damaged_ones_as_sentences(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{i}.png", (i, 2 * i, 3 * i)) for i in range(5)]
    paths.insert(1, tmp_path / "broken.png")
    paths[1].write_bytes(b"nothing")
    parts = list(read_pictures(paths, (3, 4, 4), 2))
    assert [part.names for part in parts] == [[str(paths[0])], [str(p) for p in paths[2:4]], [str(p) for p in paths[4:]]]
    assert [len(part.damaged) for part in parts] == [1, 0, 0]
    assert "broken.png: no readable picture" in parts[0].damaged[0]
    pixels = torch.cat([part.pixels for part in parts])
    assert pixels.shape == (5, 3, 4, 4)
    assert pixels[:, :, 0, 0].tolist() == [[i, 2 * i, 3 * i] for i in range(5)]


def test_a_network_of_one_channel_gets_grey_and_one_of_another_shape_its_shape(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", (200, 100, 50), (8, 8))
    (part,) = read_pictures([path], (1, 4, 6), 8)
    assert part.pixels.shape == (1, 1, 4, 6)
    assert part.pixels.unique().tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


def test_grey_pictures_of_the_networks_size_are_not_changed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(256, size=(28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (part,) = read_pictures([tmp_path / "a.png"], (1, 28, 28), 8)
    assert np.array_equal(part.pixels[0, 0].numpy(), pixels)


def test_a_batch_of_damaged_pictures_alone_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (part,) = read_pictures([tmp_path / "a.png"], (3, 4, 4), 8)
    assert (part.names, part.pixels.shape[0], len(part.damaged)) == ([], 0, 1)


def test_a_network_of_other_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="images of 4 channels"):
        next(read_pictures([picture(tmp_path / "a.png")], (4, 4, 4), 8))


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="a pipe or another special file"):
        find_pictures([tmp_path / "pipe.png"])
    (read,) = read_pictures(find_pictures([tmp_path]), (3, 8, 8), 4)
    assert (len(read.pixels), len(read.damaged)) == (0, 1)
    assert "pipe.png: no readable picture (it is no file" in read.damaged[0]


def test_deep_pictures_are_scaled_by_the_given_range_and_otherwise_each_by_its_own_and_counted(tmp_path: Path) -> None:
    for name, value in (("a", 200), ("b", 40_000)):
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(tmp_path / f"{name}.png")
    paths = [tmp_path / "a.png", tmp_path / "b.png", picture(tmp_path / "c.png", (9, 9, 9))]
    for grey_range, values in ((65535.0, [1, 156, 9]), (50_000.0, [1, 204, 9]), (0.5, [255, 255, 9]), (None, [200, 156, 9])):
        (part,) = read_pictures(paths, (3, 4, 4), 8, grey_range)
        assert (part.pixels[:, 0, 0, 0].tolist(), part.deep) == (values, 2)
    Image.fromarray(np.full((4, 4), -1, np.float32)).save(tmp_path / "a.tiff")
    (part,) = read_pictures([tmp_path / "a.tiff"], (3, 4, 4), 8, 65535.0)
    assert "grey values from -1" in part.damaged[0]


@pytest.mark.parametrize(
    ("format", "size", "orientation"), [("PNG", (60, 20), 1), ("JPEG", (900, 400), 1), ("JPEG", (800, 100), 6)]
)
def test_a_network_that_is_not_square_gets_the_largest_region_of_its_shape(
    tmp_path: Path, format: str, size: tuple[int, int], orientation: int
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    values = np.indices(size[::-1]).sum(0) * (255 / sum(size))
    Image.fromarray(values.astype(np.uint8)).save(tmp_path / "a", format, exif=exif)
    (found,) = read_pictures([tmp_path / "a"], (1, 10, 24), 1)
    with Image.open(tmp_path / "a") as opened:
        whole = ImageOps.fit(ImageOps.exif_transpose(opened), (24, 10), Image.Resampling.BICUBIC)
    assert found.pixels.shape == (1, 1, 10, 24)
    assert np.abs(found.pixels[0, 0].numpy().astype(float) - np.asarray(whole)).max() < 6
