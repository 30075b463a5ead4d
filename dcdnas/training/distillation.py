"""Knowledge distillation: learning from a trained network besides the labels (Hinton, Vinyals, Dean, 2015, arXiv:1503.02531,
section 2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.task import TrainingTask
from dcdnas.data import Images


@dataclass(frozen=True)
class Teacher:
    """A trained network that receives the same augmented and mixed images as its student.

    Args:
        network: the trained network; it has the student's channels and classes, in the same order.
        mean: per-channel mean of the images that the teacher was trained on, on the scale 0-1.
        std: per-channel standard deviation of these images, on the same scale.
        scale: factor and shift of each channel that convert the student's normalised images to the teacher's normalisation;
            None when both are normalised alike. Set by `to`.
    """

    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: tuple[Tensor, Tensor] | None = None

    def to(self, device: torch.device, images: Images) -> Teacher:
        """Returns the teacher on a device, in eval mode, set up for a student that trains on these images."""
        own_mean, own_std, mean, std = (
            torch.tensor(of, device=device)[:, None, None] for of in (self.mean, self.std, images.mean, images.std)
        )
        same = self.mean == images.mean and self.std == images.std
        self.network.to(device).eval().requires_grad_(False)
        return replace(self, scale=None if same else (std / own_std, (mean - own_mean) / own_std))

    def blended(self, loss: Tensor, logits: Tensor, x: Tensor, task: TrainingTask) -> Tensor:
        """Returns the weighted sum of the loss against the labels and the divergence from the teacher's predictions.

        Args:
            loss: against the labels.
            logits: (N, classes) of the student, or (N, classes, H, W).
            x: (N, C, H, W) the images that the student received.
            task: gives the teacher's share of the loss and the temperature.
        """
        with torch.no_grad():
            said = self.network(x if self.scale is None else x * self.scale[0] + self.scale[1])
        share, temperature = task.distillation, task.distillation_temperature
        return (1 - share) * loss + share * divergence(logits, said, temperature)


def divergence(logits: Tensor, said: Tensor, temperature: float) -> Tensor:
    """Returns T^2 KL(softmax(said / T) || softmax(logits / T)), averaged over images and, for maps, over pixels.

    Args:
        logits: (N, classes) of the student, or (N, classes, H, W).
        said: logits of the teacher, with the same shape.
        temperature: T.
    """
    ours, theirs = ((of.float() / temperature).log_softmax(1) for of in (logits, said))
    pixels = logits.shape[2:].numel()
    return temperature**2 / pixels * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
