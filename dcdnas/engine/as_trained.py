"""What the trainings of a search build of the networks that it prices: their identity and price at the proxy's images, and what
a run keeps of those.
"""

from __future__ import annotations

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
    """Says of a trial which network its training builds, and what that one costs.

    Args:
        images: the run's record of them, see `known_of`; None where nothing is known of them.
        task: of every training.
    """

    def __init__(self, images: Mapping[str, Any] | None, task: TrainingTask) -> None:
        self._images, self._side = images, task.deployed_side

    def __call__(self, trial: Trial) -> Trial:
        """The trial with the identity and the price of what is trained.

        Predictions are left out: a latency table has the places of deployed networks, not those of their proxies.
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
    """What a run keeps of what its networks are trained on; None where nothing is to be known.

    Args:
        recipe: of every training.
        given: the task, where it was given in Python.
    """
    if recipe.table:
        return {"validation": tables[recipe.table].IMAGES}
    if not recipe.own:
        return record_of(images_of(recipe))
    task = open_task(recipe, given)
    return {"shape": list(task.input), "outputs": task.outputs} if task.input else None


def record_of(images: Split) -> dict[str, Any]:
    """Of images: names of the classes, normalisation, shape, and how many each part has."""
    part = images.train
    return {
        "classes": list(part.classes), "mean": list(part.mean), "std": list(part.std), "shape": list(part.shape),
        "train": len(part), "validation": len(images.validation),
    }  # fmt: skip
