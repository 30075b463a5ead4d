"""Works out the identity and price of the networks as they are trained, adapted to the proxy's images, and the run's record of
those images, by which a resume knows them again. A search itself prices its networks as they are deployed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Trial
from dcdnas.cost import exact_metrics, price
from dcdnas.data import Split
from dcdnas.networks import for_proxy, identity
from dcdnas.tables import tables
from dcdnas.tasks import Task, open_task
from dcdnas.tasks.classification import images_of


class AsTrained:
    """Adds to a trial the identity and the price of the network that its training builds.

    Args:
        images: the run's record of the training images, see `known_of`; None where there is none.
        task: training task of every trial.
    """

    def __init__(self, images: Mapping[str, Any] | None, task: TrainingTask) -> None:
        self._images, self._side = images, task.deployed_side

    def __call__(self, trial: Trial) -> Trial:
        """Returns the trial with the identity and the price of the network as trained.

        Predicted metrics are left out, because a latency table covers the layer positions of deployed networks, not those of
        their proxies. Without a record of the images the trial is returned unchanged.
        """
        if not self._images or "shape" not in self._images:
            return trial
        channels, height, width = self._images["shape"]
        built = for_proxy(trial.architecture, (channels, height, width), self._outputs(trial), self._side)
        exact = exact_metrics()
        names = tuple(name for name in trial.cost.values if name in exact)
        return replace(trial, trained=identity(built), trained_cost=price(built, names))

    def _outputs(self, trial: Trial) -> int:
        images = self._images or {}
        return len(images["classes"]) if "classes" in images else images.get("outputs") or trial.architecture.classes


def known_of(recipe: TrainingTask, given: Task | None = None) -> dict[str, Any] | None:
    """Builds the run's record of the data that its networks are trained on; None for a task that does not state its input shape.

    Args:
        recipe: training task of every trial.
        given: the task object, where one was passed from Python.
    """
    if recipe.table:
        return {"validation": tables[recipe.table].IMAGES}
    if not recipe.own:
        return record_of(images_of(recipe))
    task = open_task(recipe, given)
    return {"shape": list(task.input), "outputs": task.outputs} if task.input else None


def record_of(images: Split) -> dict[str, Any]:
    """Builds the record of images: class names, normalisation (mean, std), shape, the size of each part, the range of grey
    pictures with more than 8 bits if there are any, and the interpolation with which the images were scaled.
    """
    part = images.train
    grey = {"grey_range": part.grey_range} if part.grey_range else {}
    return {
        "classes": list(part.classes), "mean": list(part.mean), "std": list(part.std), "shape": list(part.shape),
        "train": len(part), "validation": len(images.validation), **grey,
        "interpolation": part.interpolation, "labels": _digest_of_labels(images),
    }  # fmt: skip


def _digest_of_labels(images: Split) -> str:
    """Digest of the labels, or masks, of all images in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for part in images:
        digest.update(part.labels[part.rows].numpy().tobytes())
    return digest.hexdigest()
