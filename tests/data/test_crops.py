"""Random resized crops: where they may lie, how large they are, and what is in them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dcdnas.data._crop import RATIOS, TRIES, Crops, resized_crops


def images(n: int, c: int, h: int, w: int) -> Tensor:
    return torch.randint(1, 256, (n, c, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def drawn(count: int, smallest: float, seed: int = 0) -> Crops:
    return Crops(torch.rand(count, TRIES, 4, generator=torch.Generator().manual_seed(seed)), smallest)


@given(st.integers(0, 2**32), st.integers(4, 80), st.integers(4, 80), st.floats(0.05, 1))
def test_a_resized_crop_lies_within_the_image(seed: int, height: int, width: int, smallest: float) -> None:
    boxes = drawn(50, smallest, seed).boxes(height, width)
    left, top, wide, high = boxes.unbind(1)
    assert (boxes == boxes.round()).all()
    assert min(left.min(), top.min()) >= 0
    assert min(wide.min(), high.min()) >= 1
    assert (left + wide).max() <= width
    assert (top + high).max() <= height


def test_resized_crops_have_the_areas_and_ratios_of_their_definition() -> None:
    """On an image so wide and high that nearly every first try fits: area uniform, logarithm of the ratio uniform."""
    side, smallest = 1000, 0.08
    _, _, wide, high = drawn(4000, smallest).boxes(side, side).unbind(1)
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
    boxes = drawn(5, 1.0).boxes(10, 100)
    assert boxes.tolist() == [[43, 0, 13, 10]] * 5


def test_the_whole_image_is_itself_and_a_box_is_that_part_of_it_enlarged() -> None:
    x = images(3, 2, 16, 24)
    whole, box = torch.tensor([0.0, 0, 24, 16]), torch.tensor([5.0, 2, 12, 8])
    assert torch.equal(resized_crops(x, whole.repeat(3, 1)), x)
    expected = F.interpolate(x[:, :, 2:10, 5:17].float(), (16, 24), mode="bilinear").round().byte()
    difference = resized_crops(x, box.repeat(3, 1)).int() - expected.int()
    assert difference.abs().max() <= 1
