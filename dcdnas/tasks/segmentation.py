"""Image segmentation: trains with cross entropy at each pixel, evaluates by mean intersection over union and loss."""

from __future__ import annotations

from dcdnas.core.objective import Objective
from dcdnas.data import UNLABELLED, Images
from dcdnas.tasks._objectives import LOSS, MEAN_IOU, of_masks
from dcdnas.tasks.classification import Classification

__all__ = ["Segmentation"]


class Segmentation(Classification):
    """Predicts a class for each pixel, with the training recipe of a space's proxy; `-d DATA` names images with masks.

    Args:
        recipe: the recipe, which also names the images.

    Raises:
        DataError: when the images are missing or damaged.
    """

    objectives = (MEAN_IOU, LOSS)

    @staticmethod
    def scaled(images: Images) -> tuple[Objective, ...]:
        """The objectives, on scales that begin at predicting the most frequent class for every pixel."""
        masks = images.labels.index_select(0, images.rows)
        counts = masks[masks != UNLABELLED].bincount()
        return of_masks(len(images.classes), (counts.max() / counts.sum()).item())
