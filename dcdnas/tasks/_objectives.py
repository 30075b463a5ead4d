"""The objectives of the tasks on images, and those that a run was searched by; without torch, which its readers need not have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dcdnas.core.objective import SHARE, Bounds, Goals, Objective

ACCURACY = Objective("accuracy", "maximize", worst=0.0, best=1.0, unit=SHARE, counted=True, ranked_by="loss")
"""Share of the validation images that are right. Networks rank better by their loss (docs/dynconv-fmnist.md)."""

LOSS = Objective("loss", "minimize", worst=10.0, best=0.0)
"""Mean cross entropy over the validation images, in nats."""


MEAN_IOU = Objective("mean_iou", "maximize", worst=0.0, best=1.0, unit=SHARE, title="Mean IoU")
"""Of a segmentation: intersection over union of the pixels of each class, the mean over the classes."""

OBJECTIVES: Mapping[str, tuple[Objective, Objective]] = {"": (ACCURACY, LOSS), "decoder": (MEAN_IOU, LOSS)}
"""What networks are judged by that are trained on images, by their head, before it is known which classes there are."""


def of_masks(classes: int, largest: float) -> tuple[Objective, Objective]:
    """Both on the scale that begins with giving every pixel the most frequent class.

    Args:
        classes: that there are.
        largest: share of the pixels that have the most frequent one.
    """
    return replace(MEAN_IOU, worst=largest / classes), replace(LOSS, worst=math.log(classes))


def of_classes(classes: int) -> tuple[Objective, Objective]:
    """Both on the scale that begins with guessing among so many classes."""
    return replace(ACCURACY, worst=1 / classes), replace(LOSS, worst=math.log(classes))


def recorded(config: Mapping[str, Any]) -> tuple[Objective, ...]:
    """The objectives that ``search.yaml`` names; the accuracy alone where it names none, as before they had names.

    Raises:
        UsageError: when one of them cannot be used.
        TypeError: when they are no objectives.
    """
    return tuple(Objective(**o) for o in config.get("objectives", ())) or (replace(ACCURACY, ranked_by=""),)


def goals_of(config: Mapping[str, Any], bounds: Bounds) -> Goals:
    """What a run weighs, on the scales that it has fixed.

    Args:
        config: the content of its ``search.yaml``.
        bounds: of the objectives and of the cost metrics that are weighed with them.
    """
    objectives = recorded(config)
    costs = tuple(name for name in bounds if name not in {o.name for o in objectives})
    return Goals(objectives, costs).within(bounds)
