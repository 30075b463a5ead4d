"""Random resized crops (Szegedy et al., CVPR 2015, arXiv:1409.4842): boxes from random numbers, and what of an image is in them.

Shapes: N images, C channels, H W pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

RATIOS = (3 / 4, 4 / 3)
"""Width to height."""

TRIES = 10
"""Draws until one lies within the image."""


class Crops(NamedTuple):
    """How the images of a batch are cropped, whatever their sizes.

    Numbers of 0-1 (N, tries, 4) for area, ratio, place across and down; and the smallest share of the area.
    """

    draws: Tensor
    smallest: float

    def of(self, number: int) -> Crops:
        """Those of one image."""
        return self.part(slice(number, number + 1))

    def part(self, images: slice) -> Crops:
        """Those of some of the images."""
        return Crops(self.draws[images], self.smallest)

    def boxes(self, height: int, width: int) -> Tensor:
        """(N, 4) left, top, width, height in pixels: the first try that fits, else the largest central box of a fair ratio.

        The area is uniform between the smallest and all of the image's, the logarithm of the ratio and the place are uniform.

        Args:
            height: of the images.
            width: likewise.
        """
        area = (self.smallest + (1 - self.smallest) * self.draws[..., 0]) * height * width
        low, high = (math.log(ratio) for ratio in RATIOS)
        ratio = (low + (high - low) * self.draws[..., 1]).exp()
        across, down = (area * ratio).sqrt().round().clamp(min=1), (area / ratio).sqrt().round().clamp(min=1)
        fits = (across <= width) & (down <= height)
        left = (self.draws[..., 2] * (width - across + 1)).floor()
        top = (self.draws[..., 3] * (height - down + 1)).floor()
        boxes = torch.stack([left, top, across, down], -1)
        chosen = boxes[torch.arange(len(boxes)), fits.int().argmax(1)]
        wide, high_ = min(width, round(height * RATIOS[1])), min(height, round(width / RATIOS[0]))
        whole = torch.tensor([(width - wide) // 2, (height - high_) // 2, wide, high_]).float()
        return torch.where(fits.any(1, keepdim=True), chosen, whole)


def resized_crops(images: Tensor, boxes: Tensor) -> Tensor:
    """(N, C, H, W) uint8: a box of each image, bilinear, at the size of the image.

    Args:
        images: on any device.
        boxes: (N, 4), see `Crops.boxes`.
    """
    grid = _grid(boxes.to(images.device), *images.shape[2:])
    return F.grid_sample(images.float(), grid, align_corners=False).round_().clamp_(0, 255).byte()


def resized_masks(masks: Tensor, boxes: Tensor) -> Tensor:
    """(N, H, W): a box of each mask as `resized_crops` takes it of its image, each pixel with the class of the nearest one.

    Args:
        masks: on any device.
        boxes: (N, 4), see `Crops.boxes`.
    """
    grid = _grid(boxes.to(masks.device), *masks.shape[1:])
    return F.grid_sample(masks.float()[:, None], grid, "nearest", align_corners=False)[:, 0].to(masks.dtype)


def _grid(boxes: Tensor, height: int, width: int) -> Tensor:
    """(N, H, W, 2): where the pixels of crops are read, as `grid_sample` has it."""
    left, top, wide, high = (part[:, None] for part in boxes.unbind(1))
    x = left + ((torch.arange(width, device=boxes.device) + 0.5) * wide / width).clamp(min=0.5).minimum(wide - 0.5)
    y = top + ((torch.arange(height, device=boxes.device) + 0.5) * high / height).clamp(min=0.5).minimum(high - 0.5)
    columns, rows = (2 * x / width - 1)[:, None, :], (2 * y / height - 1)[:, :, None]
    return torch.stack([columns.expand(-1, height, width), rows.expand(-1, height, width)], -1)
