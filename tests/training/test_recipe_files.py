"""Recipes as files: those that ship say what their papers' code says, and what cannot be read says where and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dcdnas.core.task import TrainingTask
from dcdnas.errors import FileError, UnknownNameError
from dcdnas.training.recipe import PARTS, read_recipe, shipped_recipes

PUBLISHED: dict[str, dict[str, Any]] = {
    "dcd-mobilenetv2": {"epochs": 300, "batch_size": 512, "lr": 0.1, "schedule": "cosine", "weight_decay": 2e-5, "mixup": 0.2},
    "dcd-resnet50": {"epochs": 120, "batch_size": 256, "lr": 0.1, "schedule": "steps", "weight_decay": 1e-4, "mixup": 0.2},
    "odconv-mobilenetv2": {"epochs": 150, "batch_size": 256, "lr": 0.05, "schedule": "cosine", "weight_decay": 4e-5},
    "odconv-resnet": {"epochs": 100, "lr": 0.1, "schedule": "steps", "weight_decay": 1e-4, "anneal_epochs": 10.0},
    "modern": {
        "epochs": 300,
        "optimizer": "adamw",
        "lr": 5e-4,
        "weight_decay": 0.05,
        "randaugment": 2,
        "mixup": 0.8,
        "cutmix": 1.0,
    },
}
"""Of the published code: README files, and for the modern recipe main.py of DeiT."""


def test_every_recipe_that_ships_is_read_and_says_what_was_published() -> None:
    assert set(shipped_recipes()) == set(PUBLISHED)
    for name, published in PUBLISHED.items():
        task = TrainingTask(**read_recipe(name))
        assert {key: getattr(task, key) for key in published} == published
        assert round(task.warmup * task.epochs) == (5 if name == "modern" else 0)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("format: dcdnas/recipe-1\ntask: {lr: 1, epochs: 3}\n")
    read = read_recipe(str(path))
    assert read == {"lr": 1.0, "epochs": 3}
    assert isinstance(read["lr"], float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: {lr: 1}\n", "mine.yaml:1: format: this is not a recipe. A recipe begins with: format: dcdnas/recipe-1"),
        ("format: dcdnas/recipe-1\n", "Allowed: parts of a recipe, like lr: 0.1."),
        ("format: dcdnas/recipe-1\ntask:\n  lr: 1\nfrom: x\n", "mine.yaml:4: from: Known: description, task."),
        ("format: dcdnas/recipe-1\ntask:\n  lr: fast\n", "mine.yaml:3: lr cannot be 'fast'. Allowed: a number."),
        ("format: dcdnas/recipe-1\ntask:\n  epochs: true\n", "epochs cannot be True. Allowed: a whole number."),
        (
            "format: dcdnas/recipe-1\ntask:\n  mixup: 1\n  schedule: wild\n",
            "mine.yaml:4: schedule cannot be 'wild'. Allowed: cosine",
        ),
        ("format: dcdnas/recipe-1\ntask:\n  epochs: 1\n  learnrate: 1\n", "mine.yaml:4: unknown part of a recipe 'learnrate'"),
        ("format: dcdnas/recipe-1\ntask: {data: x}\n", "unknown part of a recipe 'data'"),
        (
            "format: dcdnas/recipe-1\ntask:\n  epochs: 1\n  optimizer: adamw\n",
            "mine.yaml:4: task.optimizer: adamw needs a learning rate of its own, because the default of 0.4 is for sgd.",
        ),
    ],
)
def test_what_is_no_recipe_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(FileError) as error:
        read_recipe(str(path))
    assert message in str(error.value)


def test_a_recipe_that_is_neither_shipped_nor_a_file_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'odconv-resnet'"):
        read_recipe("odconv-resnets")


def test_the_recipe_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/training.md").read_text(encoding="utf-8")
    path = tmp_path / "page.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    assert set(read_recipe(str(path))) == set(PARTS)
