"""Shapes on a textured ground, with a mask each: drawn by code, so that a first run of a segmentation needs no download.

Ground and shapes are stripes and noise whose colours, angles and spacings are drawn anew for each of them: what a pixel belongs
to is in the outline around it, and not in its colour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dcdnas.data._base import Contents, Part, Raw, Source

__all__ = ["Shapes"]

COUNTS: Mapping[Part, int] = {"train": 400, "test": 200}
SIDE = 32
MOST_SHAPES = 3
GROUND, SHAPE = (0.0, 0.6), (0.4, 1.0)
"""Darkest and brightest shade of each colour."""

NOISE = 0.06
"""Standard deviation of the noise, where black to white is 1."""

Floats = NDArray[np.float64]
Outline = Callable[[Floats, Floats], NDArray[np.bool_]]
"""(x, y) in units of the shape's radius -> whether the pixel is inside."""


def _triangle(x: Floats, y: Floats) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (y < 0.5) & (np.sqrt(3) * np.abs(x) - y < 1)
    return inside


OUTLINES: Mapping[str, Outline] = {
    "disc": lambda x, y: x**2 + y**2 < 0.8,
    "ring": lambda x, y: np.abs(np.sqrt(x**2 + y**2) - 0.75) < 0.25,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 0.75,
    "triangle": _triangle,
}


class Shapes(Source):
    """Drawn by code: 400 colour images of 32x32 with masks of four shapes on a textured ground, to segment."""

    def read(self, part: Part, resolution: int = 0, classes: int = 0) -> Raw:
        """Draws one part; the same images every time."""
        return _drawn(part)

    def contents(self) -> Contents:
        """Three channels; the ground and each shape are a class."""
        return Contents(3, len(OUTLINES) + 1)


@cache
def _drawn(part: Part) -> Raw:
    rng = np.random.default_rng([*part.encode()])
    pictures = [_picture(rng) for _ in range(COUNTS[part])]
    pixels, masks = (np.stack(arrays) for arrays in zip(*pictures, strict=True))
    return Raw(pixels, masks, ("ground", *OUTLINES))


def _picture(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image (3, H, W) and its mask (H, W); later shapes lie on earlier ones."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    image, mask = _texture(rng, x, y, GROUND), np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(rng.integers(1, MOST_SHAPES + 1)):
        number = int(rng.integers(len(OUTLINES)))
        radius, angle = rng.uniform(7, 12), rng.uniform(0, 2 * np.pi)
        dx, dy = x - rng.uniform(radius, SIDE - radius), y - rng.uniform(radius, SIDE - radius)
        u, v = (dx * np.cos(angle) + dy * np.sin(angle)) / radius, (dy * np.cos(angle) - dx * np.sin(angle)) / radius
        inside = [*OUTLINES.values()][number](u, v)
        image, mask[inside] = np.where(inside, _texture(rng, x, y, SHAPE), image), number + 1
    noisy = image + NOISE * rng.standard_normal(image.shape)
    return np.round(255 * noisy.clip(0, 1)).astype(np.uint8), mask


def _texture(rng: np.random.Generator, x: Floats, y: Floats, shades: tuple[float, float]) -> Floats:
    """(3, H, W): stripes of two colours, at some angle, some pixels apart."""
    angle, spacing, phase = rng.uniform(0, np.pi), rng.uniform(4, 12), rng.uniform(0, 2 * np.pi)
    wave = (1 + np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / spacing + phase)) / 2
    colour, other = rng.uniform(*shades, (2, 3, 1, 1))
    mixed: Floats = colour + (other - colour) * wave
    return mixed
