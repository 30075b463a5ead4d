"""Objectives of the tasks on images, and those recorded by a run; imports no torch, so that runs can be read without it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dcdnas.core.objective import SHARE, Bounds, Goals, Objective

ACCURACY = Objective("accuracy", "maximize", worst=0.0, best=1.0, unit=SHARE, counted=True, ranked_by="loss")
"""Share of the validation images that are classified correctly. The loss ranks networks better (docs/dynconv-fmnist.md)."""

LOSS = Objective("loss", "minimize", worst=10.0, best=0.0)
"""Mean cross entropy over the validation images, in nats."""


MEAN_IOU = Objective("mean_iou", "maximize", worst=0.0, best=1.0, unit=SHARE, title="Mean IoU")
"""Mean intersection over union of a segmentation: computed over the pixels of each class, then averaged over the classes."""

OBJECTIVES: Mapping[str, tuple[Objective, Objective]] = {"": (ACCURACY, LOSS), "decoder": (MEAN_IOU, LOSS)}
"""Objectives of networks that are trained on images, by the network's head, for use before the classes of the data are known."""

SHARES: Mapping[str, Objective] = {o.name: o for o in (ACCURACY, MEAN_IOU)}
"""Results of trainings on images that are written in percent, by name; a user's own task may use the names otherwise."""


def of_masks(classes: int, largest: float) -> tuple[Objective, Objective]:
    """Objectives of a segmentation, on scales that begin at predicting the most frequent class for every pixel.

    Args:
        classes: number of classes.
        largest: share of the pixels that belong to the most frequent class.
    """
    return replace(MEAN_IOU, worst=largest / classes), replace(LOSS, worst=math.log(classes))


def of_classes(classes: int) -> tuple[Objective, Objective]:
    """Objectives of a classification, on scales that begin at guessing among this number of classes."""
    return replace(ACCURACY, worst=1 / classes), replace(LOSS, worst=math.log(classes))


def recorded(config: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Reads the objectives from ``search.yaml``; accuracy alone where it lists none, as in runs of earlier versions.

    Raises:
        UsageError: when an objective is not valid.
        TypeError: when the entries are no objectives.
    """
    return tuple(Objective(**o) for o in config.get("objectives", ())) or (replace(ACCURACY, ranked_by=""),)


def goals_of(config: Mapping[str, Any], bounds: Bounds) -> Goals:
    """The goals of a run, on the scales that it has fixed.

    Args:
        config: content of its ``search.yaml``.
        bounds: bounds of the objectives and of the cost metrics that are goals too.
    """
    objectives = recorded(config)
    costs = tuple(name for name in bounds if name not in {o.name for o in objectives})
    return Goals(objectives, costs).within(bounds)
