"""Variations of whole batches: what may come out, how often, and that nothing is written to."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dcdnas.core.task import AUGMENTATIONS
from dcdnas.training.augment import (
    RATIOS,
    augmented,
    crop_boxes,
    crop_draws,
    cropped,
    erased,
    flipped,
    normalised,
    resized_crops,
)


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


# Resized crops


@given(st.integers(0, 2**32), st.integers(4, 80), st.integers(4, 80), st.floats(0.05, 1))
def test_a_resized_crop_lies_within_the_image(seed: int, height: int, width: int, smallest: float) -> None:
    boxes = crop_boxes(crop_draws(50, seed), height, width, smallest)
    left, top, wide, high = boxes.unbind(1)
    assert (boxes == boxes.round()).all()
    assert min(left.min(), top.min()) >= 0
    assert min(wide.min(), high.min()) >= 1
    assert (left + wide).max() <= width
    assert (top + high).max() <= height


def test_resized_crops_have_the_areas_and_ratios_of_their_definition() -> None:
    """On an image so wide and high that nearly every first try fits: area uniform, logarithm of the ratio uniform."""
    side, smallest = 1000, 0.08
    _, _, wide, high = crop_boxes(crop_draws(4000, 0), side, side, smallest).unbind(1)
    area, ratio = wide * high / side**2, wide / high
    assert smallest - 1e-3 < area.min() < smallest + 0.01
    assert 0.95 < area.max() <= 1
    assert RATIOS[0] - 0.01 < ratio.min() < RATIOS[0] + 0.02
    assert RATIOS[1] - 0.02 < ratio.max() < RATIOS[1] + 0.01
    small = area < 0.5  # all of these fit, whatever their ratio
    assert ratio[small].log().mean() == pytest.approx(0, abs=0.02)
    assert ratio[small].log().std() == pytest.approx(2 * math.log(4 / 3) / 12**0.5, rel=0.05)
    assert area[small].mean() == pytest.approx((smallest + 0.5) / 2, rel=0.03)


def test_where_no_try_fits_the_largest_central_box_of_a_fair_ratio_is_taken() -> None:
    boxes = crop_boxes(crop_draws(5, 0), 10, 100, 1.0)
    assert boxes.tolist() == [[43, 0, 13, 10]] * 5


def test_the_same_batch_of_the_same_epoch_is_cropped_alike() -> None:
    assert torch.equal(crop_draws(5, 1, 2, 3), crop_draws(5, 1, 2, 3))
    others = [crop_draws(5, *seeds) for seeds in ((1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3), (1, 3, 2))]
    assert len({tuple(draw.flatten().tolist()) for draw in others}) == len(others)


def test_the_whole_image_is_itself_and_a_box_is_that_part_of_it_enlarged() -> None:
    x = images(3, 2, 16, 24)
    whole, box = torch.tensor([0.0, 0, 24, 16]), torch.tensor([5.0, 2, 12, 8])
    assert torch.equal(resized_crops(x, whole.repeat(3, 1)), x)
    expected = F.interpolate(x[:, :, 2:10, 5:17].float(), (16, 24), mode="bilinear").round().byte()
    difference = resized_crops(x, box.repeat(3, 1)).int() - expected.int()
    assert difference.abs().max() <= 1


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
