"""Evaluation measures: accuracy for labels, mean intersection over union for masks, and the loss.

Letters in shapes: N batch, K classes, H W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dcdnas.data import UNLABELLED, Images
from dcdnas.errors import UsageError


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    smoothing: float = 0.0,
    reduction: str = "mean",
    weights: Tensor | None = None,
    divisor: Tensor | None = None,
) -> Tensor:
    """Returns the cross entropy of logits (N, K) and labels (N,), or of logits (N, K, H, W) and masks (N, H, W).

    Pixels without a class are ignored.

    Args:
        logits: scores.
        labels: class indices.
        smoothing: label smoothing, 0 to 1.
        reduction: ``sum``, or ``mean`` over images or labelled pixels, which is 0 when there are no labelled pixels.
        weights: (K,) of the classes; None for 1 each. The mean divides by the number of images, not by the sum of the weights.
        divisor: () that the mean over masks divides by instead of the number of labelled pixels, when they are a part of a batch.
    """
    if labels.dim() == 1 and weights is None:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=reduction)
    weights = None if weights is None else weights.to(logits.dtype)
    nothing = UNLABELLED if labels.dim() > 1 else -1
    total = F.cross_entropy(logits, labels, weights, ignore_index=nothing, label_smoothing=smoothing, reduction="sum")
    if reduction == "sum":
        return total
    return total / ((labels != nothing).sum().clamp(min=1) if divisor is None else divisor.to(total.dtype))


def class_weights(images: Images, balance: float) -> Tensor | None:
    """Returns (K,) class weights: n^-balance for a class of n images (of masks: pixels), divided by its mean over all images.

    A class that does not occur has weight 1. The result is None for a balance of 0.
    """
    if not balance:
        return None
    counts = torch.tensor(images.counts, dtype=torch.float64, device=images.labels.device)
    weights = counts.clamp(min=1) ** -balance
    return torch.where(counts > 0, weights * counts.sum() / (weights * counts).sum(), 1).float()


class Accuracy:
    """The share of the images whose highest-scoring class is their label."""

    NAME = "accuracy"

    def __init__(self, classes: int, device: torch.device) -> None:
        self.right, self.seen = torch.zeros((), device=device), 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Adds a batch: logits (N, K) and labels (N,)."""
        self.right += (logits.argmax(1) == labels).sum()
        self.seen += len(labels)

    @property
    def value(self) -> float:
        """0 to 1."""
        return self.right.item() / self.seen


class MeanIou:
    """The mean over classes of intersection over union.

    For one class this is the share of the pixels labelled with or predicted as the class that are both. Pixels are counted over
    all images together. Classes that are neither in a mask nor predicted anywhere are left out, and so are pixels without a
    class.
    """

    NAME = "mean_iou"

    def __init__(self, classes: int, device: torch.device) -> None:
        self.classes = classes
        self.counts = torch.zeros(classes, classes, dtype=torch.int64, device=device)
        """Number of pixels by labelled class (rows) and predicted class (columns)."""

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Adds a batch: logits (N, K, H, W) and masks (N, H, W)."""
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
        """The number of labelled pixels."""
        return int(self.counts.sum())


def check_masks(name: str, pixels: bool, images: Images) -> None:
    """Checks that images with masks go with networks that score pixels, and images with labels with those that score images.

    Args:
        name: of the network or the space, for the message.
        pixels: whether the network, or the networks of the space, score each pixel.
        images: to train or evaluate on.

    Raises:
        UsageError: when they do not fit together; the message says what fits.
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
    """Returns the class of the measure: `MeanIou` for images with masks, `Accuracy` for images with labels."""
    return MeanIou if masks else Accuracy
