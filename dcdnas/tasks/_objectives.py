"""The objectives of classification, and those that a run was searched by; without torch, since whoever reads a run needs them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dcdnas.core.objective import SHARE, Bounds, Goals, Objective

ACCURACY = Objective("accuracy", "maximize", worst=0.0, best=1.0, unit=SHARE, counted=True)
"""Share of the validation images that are right."""

LOSS = Objective("loss", "minimize", worst=10.0, best=0.0)
"""Mean cross entropy over the validation images, in nats."""


def of_classes(classes: int) -> tuple[Objective, Objective]:
    """Both on the scale that begins with guessing among so many classes."""
    return replace(ACCURACY, worst=1 / classes), replace(LOSS, worst=math.log(classes))


def recorded(config: Mapping[str, Any]) -> tuple[Objective, ...]:
    """The objectives that ``search.yaml`` names; the accuracy alone where it names none, as before they had names.

    Raises:
        UsageError: when one of them cannot be used.
        TypeError: when they are no objectives.
    """
    return tuple(Objective(**o) for o in config.get("objectives", ())) or (ACCURACY,)


def goals_of(config: Mapping[str, Any], bounds: Bounds) -> Goals:
    """What a run weighs, on the scales that it has fixed.

    Args:
        config: the content of its ``search.yaml``.
        bounds: of the objectives and of the cost metrics that are weighed with them.
    """
    objectives = recorded(config)
    costs = tuple(name for name in bounds if name not in {o.name for o in objectives})
    return Goals(objectives, costs).within(bounds)
