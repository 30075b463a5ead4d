"""A file that holds no task, or one that breaks a rule, is refused with the rule and the place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import plugged
import pytest
from own_task import AUC

import dcdnas.tasks
from dcdnas.core.plugins import load_plugin
from dcdnas.errors import FileError
from dcdnas.tasks import Task, tasks

END = "best=1.0),)\n"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    with plugged.forgotten():
        yield


def test_a_file_is_a_task_without_being_derived_from_one(tmp_path: Path) -> None:
    (tmp_path / "auc_task.py").write_text(AUC, encoding="utf-8")
    assert load_plugin(tmp_path / "auc_task.py").kind == "task"
    assert issubclass(tasks["auc-task"], Task)
    assert [o.name for o in tasks["auc-task"]().objectives] == ["auc"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("    objectives = (Objective", "    objectives = ()  # (Objective", "it has no objectives"),
        (END, f"{END}    objectives = (*objectives, *objectives)\n", "two of its objectives are called 'auc'"),
        ("best=1.0)", 'best=1.0, ranked_by="loss")', "ranked by 'loss'. Allowed: another objective to minimize (it has none)"),
        ('"auc", "maximize"', '"seed", "maximize"', "an objective cannot be called 'seed'"),
        ('"auc", "maximize"', '"config", "maximize"', "an objective cannot be called 'config'"),
        ('"auc", "maximize"', '"cost", "maximize"', "an objective cannot be called 'cost'"),
        ('"auc", "maximize"', '"a b", "maximize"', "an objective cannot be called 'a b'. Allowed: letters, digits and _"),
        ('"maximize"', '"upward"', "auc: the direction cannot be 'upward'. Allowed: maximize or minimize."),
        ('"maximize"', '"minimize"', "its best value 1 is not better than its worst, 0.5"),
        ("worst=0.5", "worst=float('nan')", "auc: worst cannot be nan. Allowed: a finite number."),
        ("(Sized)", "", "it has no method evaluate(self, network, *, epochs, seed, report)"),
        (
            END,
            f"{END}    def evaluate(self, network): ...\n",
            "which its signature does not allow: got an unexpected keyword argument 'epochs'",
        ),
        (
            END,
            f"{END}    def __init__(self, folder): ...\n",
            "it is called as Auc(), which its signature does not allow: missing a required",
        ),
        (END, f"{END}    input = (16, 16)\n", "input is (16, 16). Allowed: (channels, height, width), or None"),
        (END, f"{END}    outputs = 0\n", "outputs is 0. Allowed: a number from 1 on, or None"),
        ('__all__ = ["Auc"]', "", "holds nothing to add to dcdnas"),
    ],
)
def test_a_rule_that_is_broken_is_said_with_the_file(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in AUC
    (tmp_path / "auc_task.py").write_text(AUC.replace(old, new), encoding="utf-8")
    with pytest.raises(FileError) as refused:
        load_plugin(tmp_path / "auc_task.py")
    assert why in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "auc_task.py"))


def test_the_folder_has_what_a_search_does_without_being_told() -> None:
    assert list(tasks) == [dcdnas.tasks.CLASSIFICATION, dcdnas.tasks.SEGMENTATION]
