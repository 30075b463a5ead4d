"""RandAugment's operations against Pillow's, at both ends of the magnitude."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from dcdnas.data import UNLABELLED
from dcdnas.training.randaugment import GREY, MOTIONS, OPERATIONS, moved, randaugmented, with_masks

SIDE = 40

Pillow = Callable[[Image.Image, int], Image.Image]
"""What Pillow makes of an image for a sign, at the largest magnitude."""

EXACT: dict[str, Pillow] = {
    "identity": lambda image, sign: image,
    "autocontrast": lambda image, sign: ImageOps.autocontrast(image),
    "equalize": lambda image, sign: ImageOps.equalize(image),
    "solarize": lambda image, sign: ImageOps.solarize(image, 0),
    "posterize": lambda image, sign: ImageOps.posterize(image, 4),
    "color": lambda image, sign: ImageEnhance.Color(image).enhance(1 + 0.9 * sign),
    "contrast": lambda image, sign: ImageEnhance.Contrast(image).enhance(1 + 0.9 * sign),
    "brightness": lambda image, sign: ImageEnhance.Brightness(image).enhance(1 + 0.9 * sign),
    "sharpness": lambda image, sign: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * sign),
    "translate_x": lambda image, sign: affine(image, (1, 0, sign * 18, 0, 1, 0)),
    "translate_y": lambda image, sign: affine(image, (1, 0, 0, 0, 1, sign * 18)),
}
MOVED: dict[str, Pillow] = {
    "rotate": lambda image, sign: image.rotate(30 * sign, Image.Resampling.BILINEAR, fillcolor=(GREY,) * 3),
    "shear_x": lambda image, sign: affine(image, (1, 0.3 * sign, -0.3 * sign * SIDE / 2, 0, 1, 0)),
    "shear_y": lambda image, sign: affine(image, (1, 0, 0, 0.3 * sign, 1, -0.3 * sign * SIDE / 2)),
}
"""Those that read between pixels, where Pillow rounds in steps of its own."""


def affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(GREY,) * 3)


def images(n: int = 6) -> Tensor:
    """Smooth pictures of noise, with dark and bright ones among them."""
    noise = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, (SIDE, SIDE), mode="bicubic").clamp(0, 1)
    scale = torch.linspace(0.3, 1, n)[:, None, None, None]
    return (255 * scale * smooth).byte()


def pictures(x: Tensor) -> list[Image.Image]:
    return [Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()) for image in x]


def through(x: Tensor, name: str, sign: int, strength: float = 1.0) -> Tensor:
    return OPERATIONS[name](x, torch.full((len(x),), float(sign)), strength)


def of_pillow(x: Tensor, changed: Pillow, sign: int) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(changed(one, sign))).permute(2, 0, 1) for one in pictures(x)])


def test_these_are_the_operations_of_the_paper() -> None:
    assert set(EXACT) | set(MOVED) == set(OPERATIONS)
    assert len(OPERATIONS) == 14


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", EXACT)
def test_an_operation_at_its_end_is_pillows(name: str, sign: int) -> None:
    x = images()
    difference = (through(x, name, sign).int() - of_pillow(x, EXACT[name], sign).int()).abs()
    assert difference.max() <= (1 if name == "sharpness" else 0)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", MOVED)
def test_a_map_at_its_end_is_pillows_up_to_rounding_within_the_image(name: str, sign: int) -> None:
    x = images()
    ours, theirs = through(x, name, sign).int(), of_pillow(x, MOVED[name], sign).int()
    whole = torch.full_like(x, 255)
    inside = of_pillow(whole, MOVED[name], sign) == 255
    inside &= through(whole, name, sign) == 255
    assert inside.float().mean() > 0.6
    assert (ours - theirs)[inside].abs().max() <= 2
    outside = of_pillow(torch.zeros_like(x), MOVED[name], sign) == GREY
    agreed = outside & (through(torch.zeros_like(x), name, sign) == GREY)
    assert agreed.sum() > 0.8 * outside.sum()


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"autocontrast", "equalize"}))
def test_a_magnitude_of_zero_changes_nothing(name: str) -> None:
    x = images()
    assert torch.equal(through(x, name, 1, 0.0), x)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 4])
def test_every_operation_takes_any_channels(name: str, channels: int) -> None:
    x = images()[:, :1].repeat(1, channels, 1, 1)
    y = through(x, name, 1)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    if channels == 1:
        grey = through(x.repeat(1, 3, 1, 1), name, 1)[:, :1]
        torch.testing.assert_close(y.int(), grey.int(), atol=0, rtol=0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_image_of_one_colour_stays_one_within(name: str) -> None:
    x = torch.full((1, 3, SIDE, SIDE), 77, dtype=torch.uint8)
    assert through(x, name, 1)[0, :, SIDE // 2, SIDE // 2].unique().numel() == 1


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", MOTIONS)
def test_a_mask_is_moved_to_where_pillow_moves_it_by_the_nearest_pixel(name: str, sign: int) -> None:
    """But for the few pixels that lie as near to two classes; what comes in has no class."""
    masks = torch.arange(4).repeat_interleave(10).expand(1, SIDE, SIDE).byte()
    masks = torch.cat([masks, masks.transpose(1, 2)])
    motion = MOTIONS[name](torch.full((2,), float(sign)), 1.0, (SIDE, SIDE))
    found = moved(masks[:, None], motion, UNLABELLED, "nearest")[:, 0]
    cos, sin = math.cos(math.pi / 6), sign * math.sin(math.pi / 6)
    matrices = {
        "rotate": (cos, -sin, sin, cos, 0, 0), "shear_x": (1, 0.3 * sign, 0, 1, 0, 0), "shear_y": (1, 0, 0.3 * sign, 1, 0, 0),
        "translate_x": (1, 0, 0, 1, 18 * sign, 0), "translate_y": (1, 0, 0, 1, 0, 18 * sign),
    }  # fmt: skip
    a, b, c, d, x, y = matrices[name]
    half = SIDE / 2
    around = (a, b, half - a * half - b * half + x, c, d, half - c * half - d * half + y)
    for mine, mask in zip(found, masks, strict=True):
        picture = Image.fromarray(mask.numpy()).transform((SIDE, SIDE), Image.Transform.AFFINE, around, fillcolor=UNLABELLED)
        assert (mine.numpy() == np.array(picture)).mean() > 0.98
        assert UNLABELLED in mine


def test_images_are_those_without_masks_and_masks_follow_what_moves_pixels_alone() -> None:
    x = images(60)
    masks = torch.full((60, SIDE, SIDE), 7, dtype=torch.uint8)
    alone = randaugmented(x, 2, 9, torch.Generator().manual_seed(3))
    found, theirs = with_masks(x, masks, 2, 9, torch.Generator().manual_seed(3))
    assert torch.equal(found, alone)
    assert set(theirs.unique().tolist()) == {7, UNLABELLED}
    assert (masks == 7).all()
    kept = (theirs == 7).flatten(1).all(1)
    assert 0.25 < kept.float().mean() < 0.6  # 9 of 14 operations move nothing: 0.41 of two


@pytest.mark.slow
def test_each_image_is_drawn_an_operation_of_its_own_as_often_as_any_other() -> None:
    """All images are the same: the results of one operation are those of its two signs."""
    x = images(1).expand(2000, -1, -1, -1)
    before = x.clone()
    y = randaugmented(x, 1, 10, torch.Generator().manual_seed(0))
    assert torch.equal(x, before)
    found = {tuple(one.flatten().tolist()): 0 for one in y}
    for one in y:
        found[tuple(one.flatten().tolist())] += 1
    single = len({tuple(through(x[:1], name, sign).flatten().tolist()) for name in OPERATIONS for sign in (-1, 1)})
    assert len(found) == single
    assert 100 < found[tuple(x[0].flatten().tolist())] < 190


def test_the_draw_is_a_function_of_the_generator() -> None:
    x = images(20)
    first, again, other = (randaugmented(x, 2, 9, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
