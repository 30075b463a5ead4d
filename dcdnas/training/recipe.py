"""Training recipes as YAML files: the shipped ones, found by name, and a user's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dcdnas.core.files import is_file
from dcdnas.core.task import TrainingTask
from dcdnas.core.yaml_lines import Document, read_yaml
from dcdnas.errors import FileError, UnknownNameError, UsageError, nearest

FORMAT = "dcdnas/recipe-1"

FOLDER = Path(__file__).with_name("recipes")

FURTHER = (
    "schedule", "step_epochs", "step_factor", "anneal_epochs", "clip_norm", "mixup", "mixup_ramp", "cutmix", "optimizer", "ema",
    "randaugment", "magnitude", "erasing", "crop_area", "accumulate", "precision", "patience", "distillation",
    "distillation_temperature", "class_balance",
)  # fmt: skip
"""Parts of a recipe that only a full training has, not the short trainings of a search."""

PARTS = (
    "epochs", "batch_size", "lr", "classifier_width", "weight_decay", "label_smoothing", "warmup", "augment", "controller_lr",
    "controller_warmup", "norm_batches", *FURTHER,
)  # fmt: skip
"""The parts that a recipe may set."""

OWN_RATE = f"adamw needs a learning rate of its own, because the default of {TrainingTask().lr:g} is for sgd."

_KINDS: Mapping[str, type] = {f.name: type(f.default) for f in fields(TrainingTask) if f.name in PARTS}
_SAID = {int: "a whole number", float: "a number", str: "a word"}


def shipped_recipes() -> dict[str, Path]:
    """Returns the recipe files inside the package, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def read_recipe(name: str) -> dict[str, Any]:
    """Reads the parts of a recipe, by name, from a shipped recipe or from a file.

    Raises:
        UnknownNameError: when `name` is neither a shipped recipe nor a file.
        FileError: when the file is not a valid recipe; the message gives the line.
    """
    path = shipped_recipes().get(name, Path(name))
    if not is_file(path):
        raise UnknownNameError("recipe", name, shipped_recipes(), "Or give the path of a file.")
    document = read_yaml(path)
    data = document.data
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise FileError(f"{document.where(('format',))}: this is not a recipe. A recipe begins with: format: {FORMAT}")
    for key in data:
        if key not in ("format", "description", "task"):
            raise FileError(f"{document.where((str(key),))}: {nearest(str(key), ('description', 'task'))}")
    return _task(document)


def _task(document: Document) -> dict[str, Any]:
    task = document.data.get("task")
    if not isinstance(task, Mapping) or not task:
        raise FileError(f"{document.where(('task',))}: {task!r:.40}. Allowed: parts of a recipe, like lr: 0.1.")
    try:
        made = {str(name): checked(str(name), value) for name, value in task.items()}
        TrainingTask(**made)
    except UsageError as error:
        said = error.name if isinstance(error, UnknownNameError) else str(error).split(" ")[0]
        raise FileError(f"{document.path}:{document.line(('task', said))}: {error}") from None
    if made.get("optimizer") == "adamw" and "lr" not in made:
        raise FileError(f"{document.where(('task', 'optimizer'))}: {OWN_RATE} Add lr: RATE, for example lr: 5.0e-4.")
    return made


def checked(name: str, value: Any) -> Any:
    """Checks the value of one part of a recipe and converts it to that part's type.

    Raises:
        UnknownNameError: when no part has this name.
        UsageError: when the value has the wrong type.
    """
    if name not in PARTS:
        raise UnknownNameError("part of a recipe", name, PARTS)
    kind = _KINDS[name]
    fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
    if not fits:
        raise UsageError(f"{name} cannot be {value!r:.40}. Allowed: {_SAID[kind]}.")
    return kind(value)
