"""Random resized crops (Szegedy et al., CVPR 2015, arXiv:1409.4842): computes crop boxes from random numbers and applies them.

Shapes: N images, C channels, H W pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

RATIOS = (3 / 4, 4 / 3)
"""Smallest and largest ratio of a crop's width to its height."""

TRIES = 10
"""Candidate boxes drawn per image; the first that lies within the image is used."""


class Crops(NamedTuple):
    """Random crops of the images of a batch, independent of their sizes.

    `draws` (N, tries, 4) are random numbers from 0 to 1 for the area, the ratio, and the horizontal and vertical position;
    `smallest` is the smallest share of an image's area.
    """

    draws: Tensor
    smallest: float

    def of(self, number: int) -> Crops:
        """The crops of one image, as a batch of one."""
        return self.part(slice(number, number + 1))

    def part(self, images: slice) -> Crops:
        """The crops of some of the images."""
        return Crops(self.draws[images], self.smallest)

    def boxes(self, height: int, width: int) -> Tensor:
        """Computes the boxes (N, 4) as left, top, width, height in pixels.

        A box is the first candidate that fits into the image, else the largest central box whose ratio lies within `RATIOS`.
        The area is uniform between the smallest share and the whole image, as are the logarithm of the ratio and the position.

        Args:
            height: of the images in pixels.
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
    """Cuts a box out of each image and scales it to the image's size, bilinearly: (N, C, H, W) uint8.

    Args:
        images: (N, C, H, W) on any device.
        boxes: (N, 4), see `Crops.boxes`.
    """
    grid = _grid(boxes.to(images.device), *images.shape[2:])
    return F.grid_sample(images.float(), grid, align_corners=False).round_().clamp_(0, 255).byte()


def resized_masks(masks: Tensor, boxes: Tensor) -> Tensor:
    """Crops masks as `resized_crops` crops their images; each pixel gets the class of the nearest source pixel: (N, H, W).

    Args:
        masks: (N, H, W) on any device.
        boxes: (N, 4), see `Crops.boxes`.
    """
    grid = _grid(boxes.to(masks.device), *masks.shape[1:])
    return F.grid_sample(masks.float()[:, None], grid, "nearest", align_corners=False)[:, 0].to(masks.dtype)


def _grid(boxes: Tensor, height: int, width: int) -> Tensor:
    """Sampling positions (N, H, W, 2) of the pixels of the crops, in the coordinates of `grid_sample`."""
    left, top, wide, high = (part[:, None] for part in boxes.unbind(1))
    x = left + ((torch.arange(width, device=boxes.device) + 0.5) * wide / width).clamp(min=0.5).minimum(wide - 0.5)
    y = top + ((torch.arange(height, device=boxes.device) + 0.5) * high / height).clamp(min=0.5).minimum(high - 0.5)
    columns, rows = (2 * x / width - 1)[:, None, :], (2 * y / height - 1)[:, :, None]
    return torch.stack([columns.expand(-1, height, width), rows.expand(-1, height, width)], -1)
