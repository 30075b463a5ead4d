"""Variations of whole batches: what may come out, how often, and that nothing is written to."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dcdnas.core.task import AUGMENTATIONS
from dcdnas.training.augment import augmented, cropped, drawn_crops, erased, flipped, normalised


def images(n: int = 4, c: int = 2, h: int = 16, w: int = 24) -> Tensor:
    return torch.randint(1, 256, (n, c, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("how", AUGMENTATIONS)
def test_shape_and_type_stay_and_the_images_are_not_written_to(how: str) -> None:
    x = images()
    before = x.clone()
    y = augmented(x, how, draw())
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert torch.equal(x, before)


def test_none_is_the_images_themselves() -> None:
    x = images()
    assert augmented(x, "none", draw()) is x


@pytest.mark.parametrize("how", ["flip", "crop-flip"])
def test_the_draw_is_a_function_of_the_generator(how: str) -> None:
    x = images(50)
    assert torch.equal(augmented(x, how, draw(1)), augmented(x, how, draw(1)))
    assert not torch.equal(augmented(x, how, draw(1)), augmented(x, how, draw(2)))


def test_every_image_is_itself_or_its_mirror_about_half_of_each() -> None:
    x = images(2000, 1, 4, 5)
    y = flipped(x, draw())
    same = (y == x).flatten(1).all(1)
    mirrored = (y == x.flip(-1)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 900 < int(mirrored.sum()) < 1100


@given(st.integers(0, 2**32), st.integers(8, 20), st.integers(8, 20))
def test_every_crop_is_the_image_shifted_by_at_most_an_eighth_with_zeros_around(seed: int, height: int, width: int) -> None:
    x = images(3, 2, height, width)
    top, left = height // 8, width // 8
    padded = torch.zeros(3, 2, height + 2 * top, width + 2 * left, dtype=torch.uint8)
    padded[:, :, top : top + height, left : left + width] = x
    for image, y in zip(padded, cropped(x, draw(seed)), strict=True):
        windows = [image[:, r : r + height, c : c + width] for r in range(2 * top + 1) for c in range(2 * left + 1)]
        assert any(torch.equal(y, window) for window in windows)


def test_all_shifts_occur() -> None:
    x = torch.zeros(2000, 1, 16, 16, dtype=torch.uint8)
    x[:, 0, 8, 8] = 255
    places = cropped(x, draw()).flatten(1).argmax(1)
    assert {(int(p) // 16 - 8, int(p) % 16 - 8) for p in places} == {(r, c) for r in range(-2, 3) for c in range(-2, 3)}


def test_images_smaller_than_eight_pixels_are_not_shifted() -> None:
    x = images(20, 1, 7, 7)
    assert torch.equal(cropped(x, draw()), x)


def test_normalised_images_are_floats_of_each_channels_own_scale() -> None:
    x = images(3, 2)
    y = normalised(x, (0.25, 0.5), (0.5, 2.0))
    expected = torch.stack([(x[:, 0] / 255 - 0.25) / 0.5, (x[:, 1] / 255 - 0.5) / 2.0], 1)
    torch.testing.assert_close(y, expected)
    assert y.is_contiguous(memory_format=torch.channels_last)


# Random erasing


def test_random_erasing_hides_a_rectangle_of_the_papers_areas_and_ratios() -> None:
    x = torch.zeros(600, 3, 64, 64, dtype=torch.uint8)
    y = erased(x, 1.0, draw())
    assert not x.any()
    for hidden in (y > 0).any(1):
        rows, columns = hidden.any(1).nonzero().flatten(), hidden.any(0).nonzero().flatten()
        high, wide = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
        assert hidden[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].float().mean() > 0.99
        assert 0.015 < high * wide / 64**2 < 0.42
        assert 0.25 < high / wide < 4 or 64 in (high, wide)
    areas = (y > 0).any(1).float().mean((1, 2))
    assert areas.mean() == pytest.approx(0.21, abs=0.03)
    noise = y[(y > 0).any(1, keepdim=True).expand_as(y)].float()
    assert noise.mean() == pytest.approx(127.5, abs=2)


def test_images_are_erased_with_the_probability_asked_for() -> None:
    x = images(1000)
    changed = (erased(x, 0.25, draw()) != x).flatten(1).any(1)
    assert 200 < int(changed.sum()) < 300
    assert torch.equal(erased(x, 0.0, draw()), x)


def test_the_same_batch_of_the_same_epoch_is_cropped_alike() -> None:
    assert torch.equal(drawn_crops(5, 0.1, 1, 2, 3).draws, drawn_crops(5, 0.1, 1, 2, 3).draws)
    others = [drawn_crops(5, 0.1, *seeds).draws for seeds in ((1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3), (1, 3, 2))]
    assert len({tuple(draw.flatten().tolist()) for draw in others}) == len(others)
