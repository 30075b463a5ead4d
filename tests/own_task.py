"""Custom tasks for tests, which judge networks by their size without training; tests derive tasks that break a rule."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from torch import nn

from dcdnas.tasks import Objective, Report

AUC = '''\
"""Judged by the area under a curve, which is made up from the network's size."""

from own_task import Sized

from dcdnas.tasks import Objective

__all__ = ["Auc"]


class Auc(Sized):
    """Larger is better."""

    objectives = (Objective("auc", "maximize", worst=0.5, best=1.0),)
'''
"""A file with a task whose first objective is `auc`."""


class Sized:
    """Values improve with the network's number of parameters and with the epochs, and vary a little between seeds."""

    objectives: tuple[Objective, ...] = (Objective("rmse", "minimize", worst=2.0, best=0.0, unit="px"),)

    def evaluate(self, network: nn.Module, *, epochs: int, seed: int, report: Report) -> Mapping[str, float]:
        """Reports values after every epoch; returns the last ones."""
        size = sum(p.numel() for p in network.parameters())
        luck = random.Random(seed).gauss(0, 0.01)
        values: dict[str, float] = {}
        for epoch in range(1, epochs + 1):
            good = (1 - math.exp(-size / 3000)) * epoch / epochs + luck
            values = {o.name: o.worst + min(1.0, max(0.0, good)) * (o.best - o.worst) for o in self.objectives}
            if not report(epoch, values):
                break
        return values
