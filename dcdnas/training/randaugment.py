"""RandAugment on whole batches of bytes (Cubuk et al., CVPR Workshops 2020, arXiv:1909.13719).

Each image goes through a number of operations, drawn from 14 with equal probability and with replacement. The operations follow
Pillow's arithmetic and have the ranges of AutoAugment (arXiv:1805.09501, table 6). Departures from the published code: in every
operation with a magnitude, 0 changes nothing and 10 is the far end of the range, and the direction of an operation with two
directions is drawn for each image. In the published code, solarize and posterize weaken as the magnitude grows, and colour and
brightness only increase with it.

Shapes: N images of one operation, C channels, H W pixels. `signs` is (N,), each -1 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.data import UNLABELLED

MOST = 10.0
"""The largest magnitude."""

GREY = 128
"""Value of the pixels that come in from outside an image, as in the published code."""

ROTATE, SHEAR, TRANSLATE, ENHANCE, BITS = 30.0, 0.3, 0.45, 0.9, 4
"""Ends of the ranges: degrees, shear, share of the side, deviation of the factor from 1, bits that posterize drops."""

Operation = Callable[[Tensor, Tensor, float], Tensor]
"""Images (N, C, H, W) of bytes, signs (N,), strength 0-1 -> images of the same shape."""

Motion = Callable[[Tensor, float, Sequence[int]], Tensor]
"""Signs (N,), strength 0-1, height and width -> (N, 2, 3), an affine map of each image; see `moved`."""


def randaugmented(images: Tensor, count: int, magnitude: float, generator: torch.Generator) -> Tensor:
    """Applies `count` randomly drawn operations to each image (N, C, H, W), uint8.

    Args:
        images: on any device; not written to.
        count: operations per image, n in the paper.
        magnitude: 0 to 10, m in the paper.
        generator: on the CPU.
    """
    images = images.clone()
    for name, rows, signs in drawn(len(images), count, generator, images.device):
        images[rows] = OPERATIONS[name](images[rows], signs, magnitude / MOST)
    return images


def with_masks(images: Tensor, masks: Tensor, count: int, magnitude: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Like `randaugmented`, but also moves the masks (N, H, W), uint8, with their images; pixels that come in have no class.

    Args:
        images: (N, C, H, W) uint8, on any device; not written to.
        masks: on the same device; not written to.
        count: operations per image.
        magnitude: 0 to 10.
        generator: on the CPU.
    """
    images, masks, strength = images.clone(), masks.clone(), magnitude / MOST
    for name, rows, signs in drawn(len(images), count, generator, images.device):
        if name in MOTIONS:
            motion = MOTIONS[name](signs, strength, masks.shape[1:])
            masks[rows] = moved(masks[rows][:, None], motion, UNLABELLED, "nearest")[:, 0]
        images[rows] = OPERATIONS[name](images[rows], signs, strength)
    return images, masks


def drawn(images: int, count: int, generator: torch.Generator, device: torch.device) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yields the drawn operations in order: the name, the indices of the images to apply it to, and a sign for each of them.

    Args:
        images: number of images.
        count: operations per image.
        generator: on the CPU.
        device: of the indices and signs.
    """
    names = list(OPERATIONS)
    for _ in range(count):
        draw = torch.randint(len(names), (images,), generator=generator)
        signs = (torch.randint(2, (images,), generator=generator) * 2 - 1).float().to(device)
        for number, name in enumerate(names):
            rows = (draw == number).nonzero().flatten().to(device)
            if len(rows):
                yield name, rows, signs[rows]


def identity(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Returns the images unchanged."""
    return images


def autocontrast(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Stretches each channel so that its darkest value becomes 0 and its brightest 255."""
    low, high = images.amin((2, 3)).double(), images.amax((2, 3)).double()
    scale = torch.full_like(low, 255) / (high - low).clamp(min=1)  # `255 / x` would round twice
    values = torch.arange(256, device=images.device, dtype=torch.float64)
    table = (values * scale[..., None] - (low * scale)[..., None]).clamp(0, 255).trunc()
    return looked_up(images, torch.where((high > low)[..., None], table, values))


def equalize(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Equalises the histogram of each channel."""
    n, channels = images.shape[:2]
    flat = images.flatten(2).long()
    counts = torch.zeros(n, channels, 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    last = counts.gather(2, flat.amax(2, keepdim=True))
    step = (flat.shape[2] - last) // 255
    below = counts.cumsum(2) - counts
    table = (step // 2 + below) // step.clamp(min=1)
    return looked_up(images, torch.where(step > 0, table, torch.arange(256, device=images.device)))


def looked_up(images: Tensor, table: Tensor) -> Tensor:
    """Replaces each value by its entry in the lookup table of its image and channel, (N, C, 256)."""
    return table.clamp(0, 255).byte().gather(2, images.flatten(2).long()).view_as(images)


def solarize(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Inverts the values at or above a threshold, which falls with the strength."""
    return torch.where(images.int() >= 256 * (1 - strength), 255 - images, images)


def posterize(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Sets the lower bits of each value to 0."""
    return images & (255 << round(BITS * strength) & 255)


def enhanced(images: Tensor, weak: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Blends images towards weak versions of them or away from these: weak + f (images - weak), f = 1 + 0.9 strength sign."""
    factor = (1 + ENHANCE * strength * signs)[:, None, None, None]
    start = weak.float()
    return (start + factor * (images.float() - start)).clamp(0, 255).byte()


def luminance(images: Tensor) -> Tensor:
    """Returns the luminance (N, 1, H, W) as bytes: ITU-R 601-2 with Pillow's rounding for three channels, else their mean."""
    if images.shape[1] != 3:
        return images.float().mean(1, keepdim=True).round().byte()
    weights = torch.tensor([19595, 38470, 7471], device=images.device)[:, None, None]
    return ((images.int() * weights).sum(1, keepdim=True) + 0x8000 >> 16).byte()


def color(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Makes colours weaker or stronger, by blending with the grey image."""
    return enhanced(images, luminance(images).expand_as(images), signs, strength)


def contrast(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Makes the contrast weaker or stronger, by blending with the mean brightness."""
    mean = (luminance(images).double().mean((1, 2, 3), keepdim=True) + 0.5).trunc()
    return enhanced(images, mean, signs, strength)


def brightness(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Makes images darker or brighter, by blending with black."""
    return enhanced(images, torch.zeros_like(images), signs, strength)


def sharpness(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Makes images softer or sharper, by blending with a smoothed image whose outermost pixels are left unsmoothed."""
    if min(images.shape[2:]) < 3:
        return images
    kernel = torch.ones(1, 1, 3, 3, device=images.device)
    kernel[0, 0, 1, 1] = 5
    smooth = images.clone()
    inside = F.conv2d(images.float().flatten(0, 1)[:, None], kernel / 13) + 0.5
    smooth[..., 1:-1, 1:-1] = inside.clamp(0, 255).byte().view_as(smooth[..., 1:-1, 1:-1])
    return enhanced(images, smooth, signs, strength)


def rotate(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Rotates about the centre, by up to 30 degrees, counter-clockwise for a sign of 1."""
    angle = signs * math.radians(ROTATE * strength)
    return affine(size, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def shear_x(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Shifts each row in proportion to its distance from the centre."""
    one = torch.ones_like(signs)
    return affine(size, one, SHEAR * strength * signs, 0 * one, one)


def shear_y(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Shifts each column in proportion to its distance from the centre."""
    one = torch.ones_like(signs)
    return affine(size, one, 0 * one, SHEAR * strength * signs, one)


def translate_x(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Shifts sideways by up to 0.45 of the width, in whole pixels."""
    one = torch.ones_like(signs)
    return affine(size, one, 0 * one, 0 * one, one, x=signs * round(TRANSLATE * strength * size[1]))


def translate_y(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Shifts up or down by up to 0.45 of the height, in whole pixels."""
    one = torch.ones_like(signs)
    return affine(size, one, 0 * one, 0 * one, one, y=signs * round(TRANSLATE * strength * size[0]))


def affine(
    size: Sequence[int], a: Tensor, b: Tensor, c: Tensor, d: Tensor, x: Tensor | None = None, y: Tensor | None = None
) -> Tensor:
    """Returns the affine maps (N, 2, 3) for `moved`.

    The output pixel at (u, v), relative to the centre, is read from the input at (a u + b v + x, c u + d v + y).

    Args:
        size: height and width of the images.
        a: (N,).
        b: (N,).
        c: (N,).
        d: (N,).
        x: (N,) in pixels; 0 when left out.
        y: (N,) in pixels; 0 when left out.
    """
    height, width = size
    x, y = (torch.zeros_like(a) if shift is None else shift for shift in (x, y))
    rows = torch.stack([a, b * height / width, 2 * x / width]), torch.stack([c * width / height, d, 2 * y / height])
    return torch.stack(rows).permute(2, 0, 1)


def moved(images: Tensor, motion: Tensor, outside: int = GREY, mode: str = "bilinear") -> Tensor:
    """Applies affine maps about the centre to images (N, C, H, W), uint8.

    Args:
        images: to move.
        motion: (N, 2, 3), see `affine`.
        outside: value of the pixels that come in from outside.
        mode: of interpolation, as in `torch.nn.functional.grid_sample`.
    """
    grid = F.affine_grid(motion, list(images.shape), align_corners=False)
    found = F.grid_sample(images.float() - outside, grid, mode, align_corners=False)
    return found.add_(outside).round_().clamp_(0, 255).byte()


def moving(motion: Motion) -> Operation:
    """Returns the operation that moves the pixels of images by this motion."""
    return lambda images, signs, strength: moved(images, motion(signs, strength, images.shape[2:]))


MOTIONS: Mapping[str, Motion] = {
    "rotate": rotate, "shear_x": shear_x, "shear_y": shear_y, "translate_x": translate_x, "translate_y": translate_y,
}  # fmt: skip
"""The operations that move pixels, which are also applied to masks."""

OPERATIONS: Mapping[str, Operation] = {
    "identity": identity, "autocontrast": autocontrast, "equalize": equalize, "rotate": moving(rotate), "solarize": solarize,
    "color": color, "posterize": posterize, "contrast": contrast, "brightness": brightness, "sharpness": sharpness,
    "shear_x": moving(shear_x), "shear_y": moving(shear_y), "translate_x": moving(translate_x),
    "translate_y": moving(translate_y),
}  # fmt: skip
"""The 14 operations of the paper."""
