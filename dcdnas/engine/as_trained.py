"""What the trainings of a search build of the networks that it prices: their identity and price at the proxy's images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import Trial
from dcdnas.cost import exact_metrics, price
from dcdnas.networks import for_proxy, identity


class AsTrained:
    """Says of a trial which network its training builds, and what that one costs.

    Args:
        images: the run's record of them, see `dcdnas.engine.prepare.record_of`; None where nothing is known of them.
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
        built = for_proxy(trial.architecture, (channels, height, width), len(self._images["classes"]), self._side)
        exact = exact_metrics()
        names = tuple(name for name in trial.cost.values if name in exact)
        return replace(trial, trained=identity(built), trained_cost=price(built, names))
