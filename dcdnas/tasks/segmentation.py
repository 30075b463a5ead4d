"""Segmentation of images: cross entropy at each pixel, judged by the mean intersection over union, and by the loss."""

from __future__ import annotations

from dcdnas.core.objective import Objective
from dcdnas.data import UNLABELLED, Images
from dcdnas.tasks._objectives import LOSS, MEAN_IOU, of_masks
from dcdnas.tasks.classification import Classification

__all__ = ["Segmentation"]


class Segmentation(Classification):
    """A class for each pixel, with the training of a space's proxy; `-d DATA` names images with masks.

    Args:
        recipe: the training, and which images it is on.

    Raises:
        DataError: when the images are missing or damaged.
    """

    objectives = (MEAN_IOU, LOSS)

    @staticmethod
    def scaled(images: Images) -> tuple[Objective, ...]:
        """The objectives, on the scale that begins with giving every pixel the most frequent class."""
        masks = images.labels.index_select(0, images.rows)
        counts = masks[masks != UNLABELLED].bincount()
        return of_masks(len(images.classes), (counts.max() / counts.sum()).item())
