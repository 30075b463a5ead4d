"""RandAugment on whole batches of bytes (Cubuk et al., CVPR Workshops 2020, arXiv:1909.13719).

Each image goes through some of 14 operations, drawn with equal probability and with repetition. The operations have Pillow's
arithmetic, and the ranges of AutoAugment (arXiv:1805.09501, table 6). Departures from the published code: a magnitude of 0
changes nothing in any operation that has one and 10 is the far end of its range, and what has two directions is drawn for
each image; there, solarize and posterize weaken as the magnitude grows, and colours and brightness only rise with it.

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
"""What comes in from outside an image, as in the published code."""

ROTATE, SHEAR, TRANSLATE, ENHANCE, BITS = 30.0, 0.3, 0.45, 0.9, 4
"""Ends of the ranges: degrees, shear, share of the side, deviation of the factor from 1, bits that posterize drops."""

Operation = Callable[[Tensor, Tensor, float], Tensor]
"""Images (N, C, H, W) of bytes, signs (N,), strength 0-1 -> images of the same shape."""

Motion = Callable[[Tensor, float, Sequence[int]], Tensor]
"""Signs (N,), strength 0-1, height and width -> (N, 2, 3), an affine map of each image; see `moved`."""


def randaugmented(images: Tensor, count: int, magnitude: float, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) uint8, each image through `count` drawn operations.

    Args:
        images: on any device; not written to.
        count: operations an image, n in the paper.
        magnitude: 0 to 10, m in the paper.
        generator: on the CPU.
    """
    images = images.clone()
    for name, rows, signs in drawn(len(images), count, generator, images.device):
        images[rows] = OPERATIONS[name](images[rows], signs, magnitude / MOST)
    return images


def with_masks(images: Tensor, masks: Tensor, count: int, magnitude: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`randaugmented` with masks (N, H, W), uint8, which are moved where their images are; what comes in has no class.

    Args:
        images: (N, C, H, W) uint8, on any device; not written to.
        masks: likewise.
        count: operations an image.
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
    """Operations, one after the other: the name, the images that go through it, and the sign of each.

    Args:
        images: how many there are.
        count: operations an image.
        generator: on the CPU.
        device: of what is drawn.
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
    """The images themselves."""
    return images


def autocontrast(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Each channel stretched so that its darkest value is 0 and its brightest 255."""
    low, high = images.amin((2, 3)).double(), images.amax((2, 3)).double()
    scale = torch.full_like(low, 255) / (high - low).clamp(min=1)  # `255 / x` would round twice
    values = torch.arange(256, device=images.device, dtype=torch.float64)
    table = (values * scale[..., None] - (low * scale)[..., None]).clamp(0, 255).trunc()
    return looked_up(images, torch.where((high > low)[..., None], table, values))


def equalize(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Each channel's values spread so that all are about as frequent."""
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
    """Each value replaced by that of its image's and channel's table (N, C, 256)."""
    return table.clamp(0, 255).byte().gather(2, images.flatten(2).long()).view_as(images)


def solarize(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Values from a threshold on inverted."""
    return torch.where(images.int() >= 256 * (1 - strength), 255 - images, images)


def posterize(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """The lower bits of each value set to 0."""
    return images & (255 << round(BITS * strength) & 255)


def enhanced(images: Tensor, weak: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Blend of the images with weak versions of them, or away from those: `weak` + f (`images` - `weak`), f = 1 +- 0.9."""
    factor = (1 + ENHANCE * strength * signs)[:, None, None, None]
    start = weak.float()
    return (start + factor * (images.float() - start)).clamp(0, 255).byte()


def luminance(images: Tensor) -> Tensor:
    """(N, 1, H, W) bytes: ITU-R 601-2 of three channels as Pillow rounds it, else the mean of the channels."""
    if images.shape[1] != 3:
        return images.float().mean(1, keepdim=True).round().byte()
    weights = torch.tensor([19595, 38470, 7471], device=images.device)[:, None, None]
    return ((images.int() * weights).sum(1, keepdim=True) + 0x8000 >> 16).byte()


def color(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Colours weaker or stronger, against the grey image."""
    return enhanced(images, luminance(images).expand_as(images), signs, strength)


def contrast(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Contrast weaker or stronger, against the mean brightness."""
    mean = (luminance(images).double().mean((1, 2, 3), keepdim=True) + 0.5).trunc()
    return enhanced(images, mean, signs, strength)


def brightness(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Darker or brighter, against black."""
    return enhanced(images, torch.zeros_like(images), signs, strength)


def sharpness(images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Softer or sharper, against a smoothed image whose outermost pixels are those of the image."""
    if min(images.shape[2:]) < 3:
        return images
    kernel = torch.ones(1, 1, 3, 3, device=images.device)
    kernel[0, 0, 1, 1] = 5
    smooth = images.clone()
    inside = F.conv2d(images.float().flatten(0, 1)[:, None], kernel / 13) + 0.5
    smooth[..., 1:-1, 1:-1] = inside.clamp(0, 255).byte().view_as(smooth[..., 1:-1, 1:-1])
    return enhanced(images, smooth, signs, strength)


def rotate(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Turned about the centre, by up to 30 degrees, counter-clockwise for a sign of 1."""
    angle = signs * math.radians(ROTATE * strength)
    return affine(size, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def shear_x(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Rows shifted in proportion to their distance from the centre."""
    one = torch.ones_like(signs)
    return affine(size, one, SHEAR * strength * signs, 0 * one, one)


def shear_y(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Columns shifted in proportion to their distance from the centre."""
    one = torch.ones_like(signs)
    return affine(size, one, 0 * one, SHEAR * strength * signs, one)


def translate_x(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Shifted sideways by up to 0.45 of the width, in whole pixels."""
    one = torch.ones_like(signs)
    return affine(size, one, 0 * one, 0 * one, one, x=signs * round(TRANSLATE * strength * size[1]))


def translate_y(signs: Tensor, strength: float, size: Sequence[int]) -> Tensor:
    """Shifted up or down by up to 0.45 of the height, in whole pixels."""
    one = torch.ones_like(signs)
    return affine(size, one, 0 * one, 0 * one, one, y=signs * round(TRANSLATE * strength * size[0]))


def affine(
    size: Sequence[int], a: Tensor, b: Tensor, c: Tensor, d: Tensor, x: Tensor | None = None, y: Tensor | None = None
) -> Tensor:
    """(N, 2, 3) as `moved` takes them: a pixel (u, v) from the centre is read at (a u + b v + x, c u + d v + y).

    Args:
        size: height and width of the images.
        a: (N,).
        b: likewise.
        c: likewise.
        d: likewise.
        x: (N,) pixels; 0 when left out.
        y: likewise.
    """
    height, width = size
    x, y = (torch.zeros_like(a) if shift is None else shift for shift in (x, y))
    rows = torch.stack([a, b * height / width, 2 * x / width]), torch.stack([c * width / height, d, 2 * y / height])
    return torch.stack(rows).permute(2, 0, 1)


def moved(images: Tensor, motion: Tensor, outside: int = GREY, mode: str = "bilinear") -> Tensor:
    """(N, C, H, W) uint8 in affine maps about their centre.

    Args:
        images: to move.
        motion: (N, 2, 3), see `affine`.
        outside: what comes in.
        mode: of reading between pixels, as in `torch.nn.functional.grid_sample`.
    """
    grid = F.affine_grid(motion, list(images.shape), align_corners=False)
    found = F.grid_sample(images.float() - outside, grid, mode, align_corners=False)
    return found.add_(outside).round_().clamp_(0, 255).byte()


def moving(motion: Motion) -> Operation:
    """The operation that moves the pixels of an image so."""
    return lambda images, signs, strength: moved(images, motion(signs, strength, images.shape[2:]))


MOTIONS: Mapping[str, Motion] = {
    "rotate": rotate, "shear_x": shear_x, "shear_y": shear_y, "translate_x": translate_x, "translate_y": translate_y,
}  # fmt: skip
"""The operations that move pixels, and masks with them."""

OPERATIONS: Mapping[str, Operation] = {
    "identity": identity, "autocontrast": autocontrast, "equalize": equalize, "rotate": moving(rotate), "solarize": solarize,
    "color": color, "posterize": posterize, "contrast": contrast, "brightness": brightness, "sharpness": sharpness,
    "shear_x": moving(shear_x), "shear_y": moving(shear_y), "translate_x": moving(translate_x),
    "translate_y": moving(translate_y),
}  # fmt: skip
"""The paper's 14."""
