"""Training task of `dcdnas train`: a recipe, or that of the run, with the changes from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dcdnas.cli._source import with_own_code
from dcdnas.core.task import EARLIER_TASK, TrainingTask
from dcdnas.core.yaml_lines import parse_yaml
from dcdnas.engine.planning import RECIPE
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import UnknownNameError, UsageError
from dcdnas.results import Run
from dcdnas.training.recipe import FURTHER, OWN_RATE, PARTS, checked, read_recipe

EPOCHS = 300
"""Epochs of a training if neither the recipe nor the command line gives them."""

ASSIGNABLE = (*PARTS, "skip_damaged")
"""What ``--set`` may change: all but the images, which ``-d`` names, and their size and classes, which the network has."""


def task_of(run: Run | None, data: str, recipe: str | None, epochs: int | None, assignments: Sequence[str]) -> TrainingTask:
    """Builds the training task: a recipe, else that of the run, with these images and epochs; ``--set`` changes the rest.

    Args:
        run: run that the network comes from; None for a network from elsewhere.
        data: name of the data set.
        recipe: name or file of a recipe; None for that of the run.
        epochs: epochs of the training; None for those of the recipe, else 300.
        assignments: ``KEY=VALUE`` settings.

    Raises:
        UsageError: for a setting that is not part of a recipe or has an invalid value, for AdamW without a learning rate, and for
            a run with a user's own task.
    """
    if run and run.own_task:
        only = "`dcdnas train` trains only for classification and segmentation"
        raise UsageError(with_own_code(run, only, "train them"))
    known = {k: v for k, v in {**EARLIER_TASK, **(run.config.get("task") or {})}.items() if k in RECIPE} if run else {}
    known = {**(known if recipe is None else {}), "epochs": EPOCHS, **(read_recipe(recipe) if recipe else {})}
    further: dict[str, Any] = {}
    others = []
    for text in assignments:
        name = text.partition("=")[0].strip().replace("-", "_")
        if name not in ASSIGNABLE:
            raise UnknownNameError("part of a recipe", name, ASSIGNABLE)
        if name in FURTHER:
            further[name] = checked(name, parse_yaml(text.partition("=")[2], f"--set {text}").data)
        else:
            others.append(text)
    said = SearchSettings.gather({"epochs": epochs}, others, project=False)
    changes = {name: getattr(said, name) for name in RECIPE if getattr(said, name) is not None}
    chosen_here = further.get("optimizer") == "adamw" and known.get("optimizer") != "adamw"
    if chosen_here and "lr" not in changes:
        raise UsageError(f"--set optimizer=adamw: {OWN_RATE} Add --set lr=RATE, for example lr=5e-4.")
    return TrainingTask(**{**known, "resolution": 0, "classes": 0, "data": data, **changes, **further})
