"""Mixing the images of a batch with one another: mixup (Zhang et al., ICLR 2018, arXiv:1710.09412) and CutMix (Yun et al., ICCV
2019, arXiv:1905.04899). The strength of both rises over the first epochs, as in DCD's published code.

Shapes: N batch, C channels, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dcdnas.core.task import TrainingTask


@dataclass(frozen=True)
class Mix:
    """How the images of a batch are mixed with each other.

    Args:
        share: lambda, the share that an image keeps of its own pixels and label; the rest comes from its partner.
        partner: (N,) for each image, the index of the image that it is mixed with.
        box: left, top, right, bottom of the rectangle taken from the partner, in pixels; None when all pixels are blended.
    """

    share: float
    partner: Tensor
    box: tuple[int, int, int, int] | None = None

    def applied(self, images: Tensor) -> Tensor:
        """Returns the mixed images (N, C, H, W), as a new tensor with the same memory layout."""
        others = images[self.partner.to(images.device)]
        if self.box is None:
            return images.lerp(others, 1 - self.share)
        left, top, right, bottom = self.box
        mixed = images.clone()
        mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
        return mixed

    def labels(self, labels: Tensor) -> tuple[Tensor, Tensor, float]:
        """Returns the images' own labels (N,) or masks (N, H, W), their partners', and the share of their own in the loss.

        With CutMix, masks are cut in the same way as their images, so one mixed mask already has the right class at every
        pixel; it is returned twice, with a share of 1.
        """
        if self.box is not None and labels.dim() == 3:
            mixed = self.applied(labels)
            return mixed, mixed, 1.0
        return labels, labels[self.partner.to(labels.device)], self.share


def drawn(shape: tuple[int, ...], task: TrainingTask, epoch: int, generator: torch.Generator) -> Mix | None:
    """Draws how a batch is mixed; None when the recipe mixes nothing. A recipe with both kinds uses each for half of the batches.

    Args:
        shape: (N, C, H, W) of the batch.
        task: the recipe.
        epoch: counted from 0.
        generator: on the CPU.
    """
    if not task.mixup and not task.cutmix:
        return None
    both = task.mixup and task.cutmix
    cut = torch.rand((), generator=generator).item() < 0.5 if both else bool(task.cutmix)
    alpha = (task.cutmix if cut else task.mixup) * min(1.0, (epoch + 1) / max(1, task.mixup_ramp))
    share, partner = beta(alpha, generator), torch.randperm(shape[0], generator=generator)
    return cut_out(shape, share, partner, generator) if cut else Mix(share, partner)


def cut_out(shape: tuple[int, ...], share: float, partner: Tensor, generator: torch.Generator) -> Mix:
    """Draws a CutMix box: 1 - lambda of the area around a uniformly drawn centre, clipped at the image's edges.

    Lambda is then recomputed as the share of the area that lies outside the clipped box.
    """
    height, width = shape[2:]
    side = (1 - share) ** 0.5
    x, y = (int(torch.randint(size, (), generator=generator)) for size in (width, height))
    half_width, half_height = int(width * side) // 2, int(height * side) // 2
    left, right = max(0, x - half_width), min(width, x + half_width)
    top, bottom = max(0, y - half_height), min(height, y + half_height)
    return Mix(1 - (right - left) * (bottom - top) / (height * width), partner, (left, top, right, bottom))


def beta(alpha: float, generator: torch.Generator) -> float:
    """Draws from Beta(alpha, alpha), alpha at most 1, by Jöhnk's method, in logarithms because small values would underflow."""
    while True:
        u, v = torch.rand(2, dtype=torch.float64, generator=generator).log() / alpha
        if torch.logaddexp(u, v) <= 0:
            return float(torch.sigmoid(u - v))
