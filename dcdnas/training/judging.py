"""What a network is worth on images: the share of them that is right, or of masks the mean intersection over union; and the loss.

Letters in shapes: N batch, K classes, H W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.data import UNLABELLED, Images
from dcdnas.errors import UsageError


def cross_entropy(
    logits: Tensor, labels: Tensor, smoothing: float = 0.0, reduction: str = "mean", weights: Tensor | None = None
) -> Tensor:
    """Of logits (N, K) and labels (N,), or of logits (N, K, H, W) and masks (N, H, W), whose pixels without a class are left out.

    Args:
        logits: scores.
        labels: whole numbers.
        smoothing: of the labels, 0 to 1.
        reduction: ``mean`` over images or labelled pixels, which is 0 where there are none, or ``sum``.
        weights: (K,) of the classes; None for 1 each. The mean is over images, not over weights.
    """
    if labels.dim() == 1 and weights is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=reduction)
    weights = None if weights is None else weights.to(logits.dtype)
    nothing = UNLABELLED if labels.dim() > 1 else -1
    total = F.cross_entropy(logits, labels, weights, ignore_index=nothing, label_smoothing=smoothing, reduction="sum")
    return total if reduction == "sum" else total / (labels != nothing).sum().clamp(min=1)


def class_weights(images: Images, balance: float) -> Tensor | None:
    """(K,) n^-balance for a class of n images, or pixels of masks, over the mean of all of them; None for a balance of 0.

    What occurs nowhere weighs 1.
    """
    if not balance:
        return None
    counts = torch.tensor(images.counts, dtype=torch.float64, device=images.labels.device)
    weights = counts.clamp(min=1) ** -balance
    return torch.where(counts > 0, weights * counts.sum() / (weights * counts).sum(), 1).float()


class Accuracy:
    """The share of the images whose largest score is that of their label."""

    NAME = "accuracy"

    def __init__(self, classes: int, device: torch.device) -> None:
        self.right, self.seen = torch.zeros((), device=device), 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """(N, K) and (N,)."""
        self.right += (logits.argmax(1) == labels).sum()
        self.seen += len(labels)

    @property
    def value(self) -> float:
        """0 to 1."""
        return self.right.item() / self.seen


class MeanIou:
    """The mean over classes of intersection over union: of the pixels that have the class or are given it, the share with both.

    Counted over all images together, for the classes that occur in a mask or are given to a pixel; pixels without a class do not
    count.
    """

    NAME = "mean_iou"

    def __init__(self, classes: int, device: torch.device) -> None:
        self.classes = classes
        self.counts = torch.zeros(classes, classes, dtype=torch.int64, device=device)
        """Pixels by their class and the class that they are given."""

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """(N, K, H, W) and (N, H, W)."""
        labelled = labels != UNLABELLED
        pairs = labels[labelled] * self.classes + logits.argmax(1)[labelled]
        self.counts += pairs.bincount(minlength=self.classes**2).view(self.classes, -1)

    @property
    def value(self) -> float:
        """0 to 1."""
        both = self.counts.diagonal()
        either = self.counts.sum(0) + self.counts.sum(1) - both
        return (both / either)[either > 0].mean().item()

    @property
    def seen(self) -> int:
        """Pixels that have a class."""
        return int(self.counts.sum())


def check_masks(name: str, pixels: bool, images: Images) -> None:
    """Refuses images with masks for networks that score a whole image, and with labels for those that score pixels.

    Args:
        name: of the network or the space, for the message.
        pixels: whether it scores each pixel, or its networks do.
        images: to train on, or to judge by.

    Raises:
        UsageError: saying what goes with what.
    """
    if images.masks and not pixels:
        raise UsageError(
            f"{images.name} has masks, a class at each pixel, and {name} scores whole images. Allowed: images with a label each, "
            "or a space with `head: decoder`, like segmentation-quick."
        )
    if pixels and not images.masks:
        raise UsageError(
            f"{images.name} has a label for each image, and {name} scores pixels. Allowed: images with masks, like -d shapes, "
            "or a network without `head: decoder`."
        )


def judge_of(masks: bool) -> type[Accuracy] | type[MeanIou]:
    """What images with masks, or with labels, are judged by."""
    return MeanIou if masks else Accuracy
