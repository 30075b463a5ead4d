"""Augmentation of whole batches of images, as tensor operations on the batch's own device.

Every function returns a new tensor, because the images of a data set are shared between trials and must not be written to.

Shapes: N batch, C channels, H W pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.core.task import TrainingTask
from dcdnas.data import TRIES, UNLABELLED, Crops
from dcdnas.training.randaugment import randaugmented, with_masks

ERASED_AREA, ERASED_RATIOS = (0.02, 0.4), (0.3, 1 / 0.3)
"""Ranges of the share of the area (s) and of height / width (r) of the rectangle that random erasing hides (Zhong et al., AAAI
2020, arXiv:1708.04896)."""


def augmented(images: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """Augments images (N, C, H, W) by ``none``, ``flip``, ``crop-flip`` or ``resized-crop``.

    For ``resized-crop`` only the flips are made here; the crops are made when the images are read.

    Args:
        images: of any type, on any device.
        how: one of `dcdnas.core.task.AUGMENTATIONS`.
        generator: on the CPU, so that the draw is the same on every device.
    """
    if how == "none":
        return images
    return flipped(cropped(images, generator) if how == "crop-flip" else images, generator)


def varied(images: Tensor, labels: Tensor, task: TrainingTask, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Applies a recipe's crops and flips, RandAugment and erasing; resized crops and the mixing of images are made elsewhere.

    Masks are moved in the same way as their images. Mask pixels that come in from outside or are erased have no class.

    Args:
        images: (N, C, H, W) uint8, on any device.
        labels: (N,), which stay unchanged, or masks (N, H, W); int64.
        task: the recipe.
        generator: on the CPU.
    """
    if labels.dim() == 1:
        images = augmented(images, task.augment, generator)
        if task.randaugment:
            images = randaugmented(images, task.randaugment, task.magnitude, generator)
        return (erased(images, task.erasing, generator) if task.erasing else images), labels
    one_more = (labels + 1).to(torch.uint8)  # 255 (no class) becomes 0, the value that crops pad with
    both = augmented(torch.cat((images, one_more[:, None]), 1), task.augment, generator)
    images, masks = both[:, :-1], both[:, -1] - 1
    if task.randaugment:
        images, masks = with_masks(images, masks, task.randaugment, task.magnitude, generator)
    if task.erasing:
        hidden = erasing(images, task.erasing, generator)
        images, masks = noisy(images, hidden, generator), masks.masked_fill(hidden, UNLABELLED)
    return images, masks.long()


def flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors each image left to right with probability one half."""
    mirror = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirror.to(images.device)[:, None, None, None], images.flip(-1), images)


def cropped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shifts each image by up to an eighth of its size in both directions; pixels that come in from outside are 0."""
    n, channels, height, width = images.shape
    shifts = [torch.randint(2 * (size // 8) + 1, (n, 1), generator=generator) for size in (height, width)]
    padded = F.pad(images, (width // 8, width // 8, height // 8, height // 8))
    rows, columns = ((shift + torch.arange(size)).to(images.device) for shift, size in zip(shifts, (height, width), strict=True))
    rows = rows[:, None, :, None].expand(n, channels, height, padded.shape[3])
    return padded.gather(2, rows).gather(3, columns[:, None, None, :].expand(n, channels, height, width))


def drawn_crops(count: int, smallest: float, *seeds: int) -> Crops:
    """Draws the resized crops of a batch.

    Args:
        count: number of images.
        smallest: smallest share of the image's area.
        seeds: the training's seed, the epoch and the batch; equal numbers give equal crops, whatever was drawn before.
    """
    return Crops(torch.rand(count, TRIES, 4, generator=torch.Generator().manual_seed(seed_of(*seeds))), smallest)


def seed_of(*numbers: int) -> int:
    """Derives a seed from several non-negative integers."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number) % 2**63
    return seed


def erased(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Replaces a rectangle by noise in some of the images (N, C, H, W), uint8 (random erasing, RE-R).

    Args:
        images: on any device; not written to.
        probability: that an image has a rectangle erased.
        generator: on the CPU.
    """
    return noisy(images, erasing(images, probability, generator), generator)


def noisy(images: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
    """Replaces the hidden pixels of images (N, C, H, W), uint8, by noise.

    Args:
        images: on any device; not written to.
        hidden: (N, H, W) bool, on the same device.
        generator: on the CPU.
    """
    noise = torch.randint(256, images.shape, generator=generator, dtype=torch.uint8)
    return torch.where(hidden[:, None], noise.to(images.device), images)


def erasing(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Draws the pixels that random erasing hides, (N, H, W) bool: one rectangle in some of the images (N, C, H, W)."""
    n, _, height, width = images.shape
    share, ratio, *place = torch.rand(4, n, generator=generator)
    low, high = ERASED_AREA
    area = (low + (high - low) * share) * height * width
    low, high = (math.log(of) for of in ERASED_RATIOS)
    ratio = (low + (high - low) * ratio).exp()
    tall = (area * ratio).sqrt().round().clamp(1, height)
    wide = (area / ratio).sqrt().round().clamp(1, width)
    top, left = (place[0] * (height - tall + 1)).floor(), (place[1] * (width - wide + 1)).floor()
    chosen = torch.rand(n, generator=generator) < probability
    rows, columns = torch.arange(height), torch.arange(width)
    down = (rows >= top[:, None]) & (rows < (top + tall)[:, None])
    across = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    hidden: Tensor = chosen[:, None, None] & down[:, :, None] & across[:, None, :]
    return hidden.to(images.device)


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Normalises uint8 images (N, C, H, W) to floats with zero mean and unit standard deviation per channel.

    The result has the channels-last layout, in which convolutions and norms of small networks run up to twice as fast, on a CPU
    too.
    """
    scale = [torch.tensor(values, device=images.device)[:, None, None] * 255 for values in (mean, std)]
    floats = images.float().contiguous(memory_format=torch.channels_last)
    return floats.sub_(scale[0]).div_(scale[1])
