"""Learning from a trained network beside the labels (Hinton, Vinyals, Dean, 2015, arXiv:1503.02531, section 2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.task import TrainingTask
from dcdnas.data import Images


@dataclass(frozen=True)
class Teacher:
    """A trained network that sees the images that its student sees, varied and mixed as they are.

    Args:
        network: of the student's channels and classes, in their order.
        mean: of the images that it was trained on, a number a channel, on the scale 0-1.
        std: likewise, the standard deviation.
        scale: what turns the student's images into its own, factor and shift of each channel; see `to`.
    """

    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: tuple[Tensor, Tensor] | None = None

    def to(self, device: torch.device, images: Images) -> Teacher:
        """The teacher on a device, in eval mode, for a student of these images."""
        own_mean, own_std, mean, std = (
            torch.tensor(of, device=device)[:, None, None] for of in (self.mean, self.std, images.mean, images.std)
        )
        same = self.mean == images.mean and self.std == images.std
        self.network.to(device).eval().requires_grad_(False)
        return replace(self, scale=None if same else (std / own_std, (mean - own_mean) / own_std))

    def blended(self, loss: Tensor, logits: Tensor, x: Tensor, task: TrainingTask) -> Tensor:
        """The loss against the labels, and that against what the teacher says, by the recipe's share.

        Args:
            loss: against the labels.
            logits: (N, classes) of the student, or (N, classes, H, W).
            x: (N, C, H, W) that it saw.
            task: share and temperature.
        """
        with torch.no_grad():
            said = self.network(x if self.scale is None else x * self.scale[0] + self.scale[1])
        share, temperature = task.distillation, task.distillation_temperature
        return (1 - share) * loss + share * divergence(logits, said, temperature)


def divergence(logits: Tensor, said: Tensor, temperature: float) -> Tensor:
    """T^2 times the Kullback-Leibler divergence of softmax(logits / T) from softmax(said / T), the mean over images, and pixels.

    Args:
        logits: (N, classes), or (N, classes, H, W).
        said: likewise.
        temperature: T.
    """
    ours, theirs = ((of.float() / temperature).log_softmax(1) for of in (logits, said))
    pixels = logits.shape[2:].numel()
    return temperature**2 / pixels * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
