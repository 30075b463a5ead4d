"""Variations of whole batches of images, as tensor operations on the batch's own device.

Every function returns a new tensor: the images of a data set are shared between trials and never written to.

Shapes: N batch, C channels, H W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(images: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) varied as a `TrainingTask` says: ``none``, ``flip`` or ``crop-flip``.

    Args:
        images: of any type, on any device.
        how: one of `dcdnas.core.task.AUGMENTATIONS`.
        generator: on the CPU, so that the draw is the same on every device.
    """
    if how == "none":
        return images
    return flipped(cropped(images, generator) if how == "crop-flip" else images, generator)


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


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 images (N, C, H, W) as floats of zero mean and unit deviation in each channel, laid out channels last.

    Convolutions and norms of small networks run up to twice as fast in that layout, on a CPU too.
    """
    scale = [torch.tensor(values, device=images.device)[:, None, None] * 255 for values in (mean, std)]
    floats = images.float().contiguous(memory_format=torch.channels_last)
    return floats.sub_(scale[0]).div_(scale[1])
