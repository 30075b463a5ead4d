"""Variations of whole batches of images, as tensor operations on the batch's own device.

Every function returns a new tensor: the images of a data set are shared between trials and never written to.

Shapes: N batch, C channels, H W pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.core.task import TrainingTask
from dcdnas.training.randaugment import randaugmented

RATIOS = (3 / 4, 4 / 3)
"""Width to height of a resized crop (Szegedy et al., CVPR 2015, arXiv:1409.4842)."""

TRIES = 10
"""Draws of a resized crop until one lies within the image."""

ERASED_AREA, ERASED_RATIOS = (0.02, 0.4), (0.3, 1 / 0.3)
"""Share of the area, and height to width, of what random erasing hides (Zhong et al., AAAI 2020, arXiv:1708.04896, s, r)."""


def augmented(images: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) varied: ``none``, ``flip``, ``crop-flip``, or ``resized-crop``, of which this does the flips.

    Args:
        images: of any type, on any device.
        how: one of `dcdnas.core.task.AUGMENTATIONS`.
        generator: on the CPU, so that the draw is the same on every device.
    """
    if how == "none":
        return images
    return flipped(cropped(images, generator) if how == "crop-flip" else images, generator)


def varied(images: Tensor, task: TrainingTask, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) uint8 with all variations of a recipe but the mixing of images: crops and flips, RandAugment, erasing.

    Args:
        images: on any device.
        task: the recipe.
        generator: on the CPU.
    """
    images = augmented(images, task.augment, generator)
    if task.randaugment:
        images = randaugmented(images, task.randaugment, task.magnitude, generator)
    return erased(images, task.erasing, generator) if task.erasing else images


def flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored left to right with probability one half."""
    mirror = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirror.to(images.device)[:, None, None, None], images.flip(-1), images)


def cropped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to an eighth of its size in both directions; what comes in from outside is 0."""
    n, channels, height, width = images.shape
    shifts = [torch.randint(2 * (size // 8) + 1, (n, 1), generator=generator) for size in (height, width)]
    padded = F.pad(images, (width // 8, width // 8, height // 8, height // 8))
    rows, columns = ((shift + torch.arange(size)).to(images.device) for shift, size in zip(shifts, (height, width), strict=True))
    rows = rows[:, None, :, None].expand(n, channels, height, padded.shape[3])
    return padded.gather(2, rows).gather(3, columns[:, None, None, :].expand(n, channels, height, width))


def crop_draws(count: int, *seeds: int) -> Tensor:
    """(N, tries, 4) numbers of 0-1 from which `crop_boxes` makes the crops of a batch.

    Args:
        count: N.
        seeds: of the training, the epoch, the batch: equal ones draw equal crops, whatever was drawn before.
    """
    seed = 0
    for number in seeds:
        seed = (seed * 1_000_003 + number) % 2**63
    return torch.rand(count, TRIES, 4, generator=torch.Generator().manual_seed(seed))


def crop_boxes(draws: Tensor, height: int, width: int, smallest: float) -> Tensor:
    """(N, 4) left, top, width, height, in pixels, of resized crops: the first try that fits, else the largest central one.

    The area is uniform between `smallest` and 1 of the image's, the logarithm of the ratio uniform, the place uniform.

    Args:
        draws: (N, tries, 4), see `crop_draws`.
        height: of the images.
        width: likewise.
        smallest: share of the area.
    """
    area = (smallest + (1 - smallest) * draws[..., 0]) * height * width
    low, high = (math.log(ratio) for ratio in RATIOS)
    ratio = (low + (high - low) * draws[..., 1]).exp()
    wide, high_ = (area * ratio).sqrt().round().clamp(min=1), (area / ratio).sqrt().round().clamp(min=1)
    fits = (wide <= width) & (high_ <= height)
    left, top = (draws[..., 2] * (width - wide + 1)).floor(), (draws[..., 3] * (height - high_ + 1)).floor()
    boxes = torch.stack([left, top, wide, high_], -1)
    first = fits.int().argmax(1)
    chosen = boxes[torch.arange(len(draws)), first]
    whole_wide = min(width, round(height * RATIOS[1]))
    whole_high = min(height, round(width / RATIOS[0]))
    whole = torch.tensor([(width - whole_wide) // 2, (height - whole_high) // 2, whole_wide, whole_high]).float()
    return torch.where(fits.any(1, keepdim=True), chosen, whole)


def resized_crops(images: Tensor, boxes: Tensor) -> Tensor:
    """(N, C, H, W) uint8: a box of each image, bilinear, at the size of the image.

    Args:
        images: on any device.
        boxes: (N, 4), see `crop_boxes`.
    """
    n, _, height, width = images.shape
    left, top, wide, high = (part[:, None] for part in boxes.to(images.device).unbind(1))
    x = left + (torch.arange(width, device=images.device) + 0.5) * wide / width
    y = top + (torch.arange(height, device=images.device) + 0.5) * high / height
    x, y = (
        torch.maximum(torch.minimum(x, left + wide - 0.5), left + 0.5),
        torch.maximum(torch.minimum(y, top + high - 0.5), top + 0.5),
    )
    grid = torch.stack(
        [(2 * x / width - 1)[:, None].expand(n, height, width), (2 * y / height - 1)[:, :, None].expand(n, height, width)], -1
    )
    return F.grid_sample(images.float(), grid, align_corners=False).round_().clamp_(0, 255).byte()


def erased(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) uint8, of some of which a rectangle is replaced by noise (random erasing, RE-R).

    Args:
        images: on any device; not written to.
        probability: of each image.
        generator: on the CPU.
    """
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
    noise = torch.randint(256, images.shape, generator=generator, dtype=torch.uint8)
    rows, columns = torch.arange(height), torch.arange(width)
    down = (rows >= top[:, None]) & (rows < (top + tall)[:, None])
    across = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    hidden = (chosen[:, None, None] & down[:, :, None] & across[:, None, :])[:, None].to(images.device)
    return torch.where(hidden, noise.to(images.device), images)


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 images (N, C, H, W) as floats of zero mean and unit deviation in each channel, laid out channels last.

    Convolutions and norms of small networks run up to twice as fast in that layout, on a CPU too.
    """
    scale = [torch.tensor(values, device=images.device)[:, None, None] * 255 for values in (mean, std)]
    floats = images.float().contiguous(memory_format=torch.channels_last)
    return floats.sub_(scale[0]).div_(scale[1])
